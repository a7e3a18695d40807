"""One door to Postgres: a pool of one login's connections, and transactions that name their workspace.

    with database.transaction(workspace="acme") as connection:
        connection.execute(QUERIES["turn_page"], {...})
    database.ask(QUERIES["claim"], {...}, workspace="acme")  # One statement, one exchange.

The workspace is set transaction-locally, so it cannot survive into the next borrower of the connection, and every
policy of row-level security reads it. A transaction without a workspace sees no tenant's rows. psycopg's errors are
translated here, and only here, into ours; their texts may hold values of rows and are never passed on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, Self

import psycopg
from psycopg import errors as pg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from worker.errors import (
    BadRequest,
    CrmSyncError,
    DatabaseFault,
    Misconfigured,
    StatementTimedOut,
    TooLargeForDatabase,
    Unavailable,
)

Row = dict[str, Any]
Connection = psycopg.Connection[Row]
Cursor = psycopg.Cursor[Row]

_STATEMENT_TIMEOUT_S = 60
_SESSION_OPTIONS = (
    f"-c statement_timeout={_STATEMENT_TIMEOUT_S}s -c lock_timeout=15s -c idle_in_transaction_session_timeout=60s "
    "-c timezone=UTC"
)
_LONGEST_TRANSACTION_S = 90
"""Longer than a statement may take: otherwise Postgres forgets the statement's own limit, and what is too much for it
each time would look like an outage each time, and be tried for ever."""
_LONGEST_ANSWER_S = 10
_KNOWS_LONGEST = 170_000
"""The server version (17) that can end a transaction of a process which was frozen in the middle of its exchange, with
locks in its hands; idle in a transaction it is only between two exchanges."""

_SETTINGS = {count: "SELECT " + ", ".join(["set_config(%s, %s, true)"] * count) for count in (1, 2, 3)}

_CALLER_MISTAKES = "CS"
"""First letters of the SQLSTATEs that `crm_sync.enqueue` raises for a caller's mistake."""

_PROGRAM_LIMITS = "54"
"""The class of SQLSTATEs for what is too large or too deep for Postgres itself."""

_SERVERS_OWN = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    # psycopg files these under internal errors, but they say no more of a statement than the others do: a process
    # that was frozen within a transaction, and a server that just became, or is not yet, the primary one.
    pg.IdleInTransactionSessionTimeout,
    pg.TransactionTimeout,
    pg.ReadOnlySqlTransaction,
)
"""Errors that tell of the server and not of what it was asked."""


class Database:
    """A pool of connections of one login. Threads share it; a forked child must make its own."""

    def __init__(self, url: str, *, max_size: int = 10, timeout_s: float = 10.0, name: str = "crm-sync") -> None:
        self._max_size = max_size
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            connection_class=psycopg.Connection[Row],
            kwargs={
                "row_factory": dict_row,
                "autocommit": True,
                "options": _SESSION_OPTIONS,
                "application_name": name,
                "connect_timeout": 5,
                "prepare_threshold": 3,
            },
            min_size=0 if max_size == 1 else 1,
            max_size=max_size,
            max_lifetime=1800,
            timeout=timeout_s,
            # Whoever waits for a connection gets one as soon as the server is back: the pool goes on trying as long.
            reconnect_timeout=timeout_s,
            open=False,
            name=name,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self, workspace: str | None = None) -> Iterator[Connection]:
        """A transaction; it commits at the end of the block and rolls back on any exception.

        Raises:
            Unavailable: the server cannot be reached, or went away. Whether the transaction was committed is then
                unknown if the block itself had ended.
            Misconfigured: the schema or a privilege is missing.
            BadRequest: `crm_sync.enqueue` refused its arguments.
        """
        with (
            translated_errors(),
            self._lent(lambda connection: _begin(connection, workspace, _LONGEST_TRANSACTION_S)) as connection,
        ):
            yield connection
            connection.commit()

    def ask(
        self, statement: LiteralString, arguments: Row, workspace: str | None = None, *, durable: bool = True
    ) -> Cursor:
        """Carry out one statement as a transaction of its own, in one exchange with the server.

        Postgres commits what came in one exchange as one transaction, so neither BEGIN nor COMMIT is said, and nothing
        is left open by a process that is frozen after it.

        It is not sent a second time, not even if the line was dead all along: nobody knows then. If it need not survive
        a crash of the server (`durable`), its commit does not wait for the disk.

        Raises:
            Unavailable: nobody knows whether it was carried out.
            Misconfigured, BadRequest: as `transaction`.
        """
        with translated_errors(), self._lent() as connection, connection.pipeline():
            _set_locally(connection, workspace, _LONGEST_ANSWER_S, durable=durable)
            return connection.execute(statement, arguments)

    def glance(self, statement: LiteralString, arguments: Row) -> Cursor:
        """Carry out one statement that concerns no tenant, for those who ask many times a second: nothing around it.

        Raises:
            Unavailable: the server cannot be reached, or the line was dead all along.
            Misconfigured: as `transaction`.
        """
        with translated_errors(), self._lent() as connection:
            return connection.execute(statement, arguments)

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection in autocommit mode, for single statements without a tenant (a beat) and for LISTEN."""
        with translated_errors(), self._lent(_forget_settings) as connection:
            yield connection

    @contextmanager
    def _lent(self, begin: Callable[[Connection], object] | None = None) -> Iterator[Connection]:
        """A connection on which `begin` worked; what is unfinished on it at the end is rolled back."""
        self._pool.open()
        connection = self._begun(begin) if begin else self._pool.getconn()
        try:
            yield connection
        except psycopg.Error:
            # A statement that fails as it is first prepared within an exchange is prepared for psycopg, and not for
            # Postgres; it would fail ever after. A transaction's rollback makes psycopg forget it; this is none.
            if connection.info.transaction_status == TransactionStatus.IDLE:
                connection.close()
            raise
        finally:
            self._take_back(connection)

    def _begun(self, begin: Callable[[Connection], object]) -> Connection:
        """The first connection on which `begin` works: those that died while they lay in the pool are dropped."""
        for tried in range(self._max_size + 1):
            connection = self._pool.getconn()
            try:
                with connection.pipeline():
                    begin(connection)
            except BaseException as error:
                died = connection.closed and isinstance(error, psycopg.OperationalError)
                self._take_back(connection)
                if tried == self._max_size or not died:
                    raise
            else:
                return connection
        raise AssertionError("unreachable")

    def _take_back(self, connection: Connection) -> None:
        try:
            if not connection.closed:
                connection.rollback()
        except psycopg.Error:
            connection.close()
        finally:
            self._pool.putconn(connection)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def _forget_settings(connection: Connection) -> None:
    """What an earlier borrower set for the session ends. This first exchange also tells whether the line is dead."""
    connection.execute("RESET ALL")


def _begin(connection: Connection, workspace: str | None, longest_s: int) -> None:
    connection.execute("BEGIN")
    _forget_settings(connection)
    _set_locally(connection, workspace, longest_s)


def _set_locally(connection: Connection, workspace: str | None, longest_s: int, *, durable: bool = True) -> None:
    """Settings that end with the transaction. No workspace is the empty one, which has no rows."""
    settings = {"crm_sync.workspace": workspace or ""}
    if connection.info.server_version >= _KNOWS_LONGEST:
        settings["transaction_timeout"] = f"{longest_s}s"
    if not durable:
        settings["synchronous_commit"] = "off"
    connection.execute(_SETTINGS[len(settings)], [text for setting in settings.items() for text in setting])


def unless_locked(tx: Connection, statement: LiteralString, arguments: Row) -> bool:
    """Carry out a statement within a transaction; False if it met a lock: it is undone then, and nobody waited for."""
    with suppress(pg.LockNotAvailable), tx.transaction():
        tx.execute("SET LOCAL lock_timeout = '20ms'")
        tx.execute(statement, arguments)
        return True
    return False


def why_refused(url: str) -> str | None:
    """Why a server does not let `url` in, in its own words and without the password; None if it does."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        return str(error).splitlines()[0]
    return None


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translate psycopg's errors into ours, without their texts."""
    try:
        yield
    except (PoolTimeout, psycopg.Error) as error:
        raise _explain(error) from None


def _explain(error: psycopg.Error | PoolTimeout) -> CrmSyncError:
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith(_CALLER_MISTAKES):
        diagnosis = error.diag if isinstance(error, psycopg.Error) else None
        text = (diagnosis.message_primary or "refused") if diagnosis else "refused"
        hint = f" {diagnosis.message_hint}" if diagnosis and diagnosis.message_hint else ""
        return BadRequest(text.removeprefix("crm_sync: ") + "." + hint)
    match error:
        case pg.InvalidSchemaName() | pg.UndefinedTable() | pg.UndefinedFunction() | pg.UndefinedColumn():
            return Misconfigured("The database lacks a part of our schema. Run `crm-sync migrate`.")
        case pg.InsufficientPrivilege():
            return Misconfigured(
                f"This login may not do that in the database ({_place(error)}). Run `crm-sync migrate`, and check "
                "that the URL of each role names its own login (`crm-sync doctor`)."
            )
        case pg.InvalidPassword() | pg.InvalidAuthorizationSpecification() | pg.InvalidCatalogName():
            return Misconfigured(
                "Postgres refused the login. Check the user, password and database in CRM_SYNC_DATABASE_URL*."
            )
        # psycopg files these two under errors of the server's, but they come again with the same statement.
        case pg.QueryCanceled():
            return StatementTimedOut(
                f"Postgres cancelled a statement of ours: it ran longer than {_STATEMENT_TIMEOUT_S} s, or an operator "
                "ended it. If it happens to the same job again, see what the database is busy with."
            )
        case _ if state.startswith(_PROGRAM_LIMITS):
            return TooLargeForDatabase(
                f"Something is larger than Postgres can take: {type(error).__name__} {state} {_place(error)}"
            )
        case _ if isinstance(error, _SERVERS_OWN):
            if isinstance(error, psycopg.OperationalError) and "authentication failed" in str(error):
                return Misconfigured("Postgres refused the password. Check CRM_SYNC_DATABASE_URL*.")
            name = type(error).__name__
            return Unavailable(
                f"Postgres cannot be reached or ended the work ({name}). Jobs are tried again by themselves; if it "
                "stays so, see whether it runs and the URLs are right: `crm-sync doctor`."
            )
        case _:
            return DatabaseFault(f"Postgres refused a statement: {type(error).__name__} {state} {_place(error)}")


def _place(error: psycopg.Error) -> str:
    parts = (error.diag.table_name, error.diag.column_name, error.diag.constraint_name)
    return ", ".join(part for part in parts if part) or "no place given"
