"""P6, fault matrix 3: a worker that is killed when it has the provider's new tokens and has not stored them yet."""

import os
import signal
import threading
from collections.abc import Callable

import pytest

from simulator.client import Simulator
from tests.postgres_proxy import Cut, PostgresProxy
from tests.vault.test_p6_one_refresh import STRICT, Grant, _forgiving_provider, make, simulator  # noqa: F401 - fixtures
from worker.connectors.google_api import GOOGLE_OAUTH
from worker.errors import ConsentGone
from worker.settings import Role
from worker.store.database import Database
from worker.transport.ports import OAuthFacts


def killed_with_the_tokens_in_hand(grant: Grant, url: str, facts: OAuthFacts, *, after: bool) -> None:
    """The worker ends right before the statement that stores them, or when it was carried out and not answered."""
    victim: list[int] = []
    started, killed = threading.Event(), threading.Event()
    stored = [False]

    def at_statement(_number: int, text: str) -> None:
        due = stored[0] if after else "'renewed'" in text
        stored[0] = stored[0] or "'renewed'" in text
        if due and not killed.is_set():
            started.wait(10)
            os.kill(victim[0], signal.SIGKILL)
            killed.set()
            raise Cut

    with PostgresProxy(url, at_statement) as proxy:
        pid = os.fork()
        if pid == 0:
            try:
                with Database(proxy.url, max_size=2) as database:
                    grant.token(database, facts)
            finally:
                os._exit(0)
        victim.append(pid)
        started.set()
        os.waitpid(pid, 0)
    assert killed.is_set()


@pytest.mark.parametrize("after", [False, True], ids=["before the statement", "before the commit"])
def test_p6_a_worker_killed_before_it_stored_new_tokens_costs_one_request_where_the_old_token_works(
    make: Callable[..., Grant],  # noqa: F811 - the fixture
    database_urls: dict[Role, str],
    after: bool,
) -> None:
    grant = make()
    asked, version = grant.requests(), grant.row()["token_version"]
    killed_with_the_tokens_in_hand(grant, database_urls[Role.WORKER], GOOGLE_OAUTH, after=after)
    assert grant.row()["token_version"] == version, "nothing is half stored"
    assert grant.row()["attempt_answer"] is None, "and the journal says that nobody knows"
    assert grant.token()
    assert grant.requests() == asked + 2, "one was lost, one repaired it"
    assert grant.row()["token_version"] == version + 1


def test_p6_with_a_strict_rotator_the_grant_ends_after_one_more_request_and_is_not_asked_for_ever(
    make: Callable[..., Grant],  # noqa: F811 - the fixture
    simulator: Simulator,  # noqa: F811 - the fixture
    database_urls: dict[Role, str],
) -> None:
    simulator.control("oauth", {"rotation": "strict"})
    grant = make()
    asked = grant.requests()
    killed_with_the_tokens_in_hand(grant, database_urls[Role.WORKER], STRICT, after=False)
    with pytest.raises(ConsentGone, match="reply_lost"):
        grant.token(facts=STRICT)
    assert grant.requests() == asked + 2
    assert grant.row()["attempt_answer"] == "consent_gone"
