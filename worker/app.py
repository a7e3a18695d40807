"""The composition root: where the parts of a worker process meet, and the module that dramatiq is pointed at.

    crm-sync worker --pool sync    our runner: one process, `run_worker` below
    dramatiq worker.app            dramatiq's own: forked processes, all lanes or those of `--queues`

Importing it connects nothing and reads no settings: that happens when a worker boots, in each forked child by itself.
"""

import gc
import multiprocessing
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

import dramatiq
import structlog

from worker import logs
from worker import settings as settings_module
from worker.errors import CrmSyncError, KeyMissing, Misconfigured
from worker.jobs import ledger
from worker.jobs.doorbell import DoorbellBroker
from worker.jobs.endpoints import Endpoints
from worker.jobs.handler import Handler
from worker.jobs.kinds import load_handlers
from worker.jobs.lanes import ACTOR, Lane, lanes_of
from worker.jobs.process import WorkerProcess, end_with_parent
from worker.jobs.run_job import Runner
from worker.jobs.services import Services, utc_now
from worker.privacy.policies import publish_all
from worker.settings import Role, Settings
from worker.store.database import Database
from worker.transport.budgets import Budgets
from worker.transport.client import Transport
from worker.vault.grants import Grants
from worker.vault.keyring import Keyring
from worker.vault.keys import KeyStore

_log = structlog.get_logger(__name__)
_IDLE_WAKE_MS = 500
_STOP_TIMEOUT_MS = 600_000
"""How long dramatiq may wait for threads; the guard of `WorkerProcess.end_within` ends the process long before."""
BuildServices = Callable[[Settings, int], Services]
_GC_THRESHOLDS = (50_000, 20, 20)
"""A page is tens of thousands of objects without a cycle, all alive at once; with Python's own thresholds, looking
through them again and again took two thirds of the time of reading it."""


def spare_collections() -> None:
    """Let the collector leave alone what lives as long as the process, and look through the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def build_services(settings: Settings, threads: int | None = None) -> Services:
    """Every part of a worker, none of them connected yet.

    Raises:
        Misconfigured: a URL or a keyring is missing or wrong.
    """
    # A job may use two connections at once (a page in one, the gate of the next request in the other).
    size = 2 * (threads or settings.threads) + 2
    database = Database(settings.database_url_of(Role.WORKER), max_size=size, name="crm-sync-worker")
    keys_database = database
    if settings.keys_url is not None:
        keys_database = Database(settings.keys_url.get_secret_value(), max_size=size, name="crm-sync-worker-keys")
    grant, records = _keyring(settings, "grant"), _keyring(settings, "records")
    keys = KeyStore(keys_database, grant=grant, records=records, main=database)
    transport = Transport(route=settings.provider_route)
    return Services(
        settings=settings,
        database=database,
        keys=keys,
        transport=transport,
        budgets=Budgets(_redis_url(settings), settings.quota_scale, first_book=lambda: ledger.is_first_book(database)),
        grants=Grants(database, keys),
        endpoints=Endpoints(settings, transport),
        clock=utc_now,
    )


class Life(dramatiq.middleware.Middleware):
    """What happens when dramatiq boots and stops a worker: the process's row, its beat, its end."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.handlers: Mapping[str, Handler] | None = None
        self.build_services: BuildServices = build_services
        self.pool = "dramatiq"
        self.process: WorkerProcess | None = None
        self.runner: Runner | None = None

    def boot(self, lanes: tuple[Lane, ...], threads: int) -> None:
        """Build the parts and register the process.

        Raises:
            Misconfigured: settings, schema or keyrings are not usable.
            Unavailable: Postgres cannot be reached.
        """
        settings = self.settings or settings_module.load()
        logs.set_up(settings.log_format)
        services = self.build_services(settings, threads)
        handlers = self.handlers or load_handlers()
        beats = Database(settings.database_url_of(Role.WORKER), max_size=1, timeout_s=4.0, name="crm-sync-beat")
        process = WorkerProcess(settings, services.database, beats, lanes, threads, self.pool)
        process.register()
        publish_all(services.database, settings.policy_dir)
        try:
            services.keys.intake()  # The CRM can seal from now on: who first runs a worker makes the key.
        except KeyMissing as error:
            # Nobody can be connected by this worker; connections whose own keys are there go on.
            _log.error("keys.missing", reason=error.reason, error=str(error))
        self.process, self.runner = process, Runner(services, process, handlers)
        broker.connect(_redis_url(settings), threads)
        spare_collections()
        _log.info("process.started", pool=self.pool, lanes=[lane.value for lane in lanes], threads=threads)

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Boot under plain dramatiq. dramatiq goes on after any error but its own, and a worker must not."""
        if self.runner is not None:
            return
        master = multiprocessing.parent_process()
        if master is not None:
            end_with_parent(master.pid)
        lanes = tuple(lane for lane in Lane if worker.consumer_whitelist is None or lane in worker.consumer_whitelist)
        try:
            self.boot(lanes, worker.worker_threads)
        except CrmSyncError as error:
            raise dramatiq.middleware.MiddlewareError(str(error)) from None

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Claim nothing more, and see to it that the process ends even if a job does not."""
        if self.process is None:
            return
        _broker().hush()
        self.process.stop_claiming()
        settings = self.settings or settings_module.load()
        self.process.end_within(settings.shutdown_s)

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Every thread came to its end."""
        if self.process is not None:
            self.process.leave()
            _log.info("process.ended", handed_back=0)


LIFE = Life()
broker = DoorbellBroker(middleware=[LIFE])
dramatiq.set_broker(broker)


@dramatiq.actor(broker=broker, actor_name=ACTOR, queue_name=Lane.INTERACTIVE.value)
def run_job(workspace_id: str, job_id: int) -> None:
    """Answer a ring."""
    if LIFE.runner is not None:
        LIFE.runner.run(workspace_id, job_id)


def run_worker(
    settings: Settings,
    pool: str = "all",
    *,
    threads: int | None = None,
    handlers: Mapping[str, Handler] | None = None,
    build: BuildServices = build_services,
    with_parent: int | None = None,
) -> int:
    """Run one worker process until SIGTERM or SIGINT, and return its exit code. A second signal ends it at once.

    `with_parent` is its parent's pid, for supervisors of ours: it ends when that process dies.

    Raises:
        BadRequest: there is no such pool.
        Misconfigured, Unavailable: as `Life.boot`.
    """
    lanes = lanes_of(pool)
    if with_parent is not None:
        end_with_parent(with_parent)
    LIFE.settings, LIFE.pool, LIFE.handlers, LIFE.build_services = settings, pool, handlers, build
    count = threads or settings.threads
    asked = threading.Event()

    def on_signal(number: int, frame: Any) -> None:  # noqa: ARG001
        if not asked.is_set():
            asked.set()
        elif LIFE.process is not None:
            # Not in the handler itself: it may have interrupted the very lock that handing back needs.
            threading.Thread(target=LIFE.process.end_now, args=(1,), daemon=True).start()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, on_signal)
    LIFE.boot(lanes, count)
    worker = dramatiq.Worker(
        broker, queues={lane.value for lane in lanes}, worker_timeout=_IDLE_WAKE_MS, worker_threads=count
    )
    worker.start()
    code = 0
    while not asked.wait(1.0):
        if not all(thread.is_alive() for thread in (*worker.workers, *worker.consumers.values())):
            # A process that lost a thread would go on at half its strength, unseen; its supervisor starts a whole one.
            _log.error("process.lost_a_thread")
            code = 1
            break
    worker.stop(timeout=_STOP_TIMEOUT_MS)
    broker.close()
    return code


def _keyring(settings: Settings, name: str) -> Keyring:
    secret = settings.grant_keyring if name == "grant" else settings.records_keyring
    if secret is None:
        raise Misconfigured(
            f"CRM_SYNC_{name.upper()}_KEYRING is not set, and a worker needs both keyrings. `crm-sync keys init` "
            "writes new ones."
        )
    return Keyring.load(secret.get_secret_value(), name)


def _broker() -> DoorbellBroker:
    return broker


def _redis_url(settings: Settings) -> str:
    if settings.redis_url is None:
        raise Misconfigured(
            "CRM_SYNC_REDIS_URL is not set. Set it, e.g. redis://:PASSWORD@HOST:6379/0, or use `crm-sync worker`, "
            "which joins the embedded servers in development."
        )
    return settings.redis_url.get_secret_value()
