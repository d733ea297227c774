"""Postgres through asyncpg: one pool per service, its schema's migrations, and transient failures told apart."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, TypeAlias

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from common.telemetry import Gauge, get_logger
from contracts.base import RefusalCode, Refused

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Record: TypeAlias = asyncpg.Record
UniqueViolation: TypeAlias = asyncpg.UniqueViolationError
ForeignKeyViolation: TypeAlias = asyncpg.ForeignKeyViolationError

TRANSIENT = (
    ConnectionError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says of a connection that dies while it goes back to the pool.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
"""Failures that say nothing about the request: it may go better in a moment."""

_SHARED_MIGRATIONS = "common"
_IDLE_IN_TRANSACTION = "30s"
_MIGRATION_SECONDS = 3600.0
"""Of one migration: an index on a large table takes its time, and one that is cut off would be cut off for ever."""

CONNECTIONS = Gauge("database_connections", "Connections to Postgres that are in use now")
CONNECTIONS_LIMIT = Gauge("database_connections_limit", "Most connections to Postgres that this process holds")
_log = get_logger("database")


class Database:
    """A pool of connections whose `search_path` is the service's own schema."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", schema: str) -> None:
        self._pool = pool
        self.schema = schema
        CONNECTIONS.set_function(lambda: pool.get_size() - pool.get_idle_size())
        CONNECTIONS_LIMIT.set(pool.get_max_size())

    @classmethod
    async def connect(
        cls, url: str, schema: str, *, size: int = 10, patience: float = 60.0, plan_once: bool = False
    ) -> "Database":
        """Opens the pool, trying again for `patience` seconds while Postgres is not there yet.

        With `plan_once` a statement is planned once for all its arguments: right where each finds a few rows by an
        index, whatever they are, and planning would cost more than finding them.
        """
        async with asyncio.timeout(patience):
            while True:
                try:
                    pool = await asyncpg.create_pool(
                        url,
                        min_size=1,
                        max_size=size,
                        init=_set_codecs,
                        reset=_leave_as_it_is,
                        server_settings={
                            "search_path": schema,
                            "application_name": schema,
                            # A host that vanishes in the middle of a transaction must not keep its locks for hours.
                            "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION,
                            "plan_cache_mode": "force_generic_plan" if plan_once else "auto",
                        },
                        command_timeout=60,
                    )
                    return cls(pool, schema)
                except (OSError, *TRANSIENT) as error:
                    _log.info("waiting_for_postgres", error=type(error).__name__)
                    await asyncio.sleep(0.25)

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for reads and single statements. Raises `Refused(UNAVAILABLE)` when Postgres is not there."""
        try:
            async with self._pool.acquire(timeout=10) as connection:
                yield connection
        except TRANSIENT as error:
            if isinstance(error, ValueError):
                # asyncpg's word for an argument that the statement cannot take, which it counts as an InterfaceError.
                raise
            _log.warning("postgres_unavailable", error=repr(error))
            raise Refused(RefusalCode.UNAVAILABLE, "The database is not available at the moment") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection with a transaction around the block: all of it happens, or nothing."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def ping(self) -> None:
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    async def migrate(self, package: str) -> None:
        """Applies the outbox's migrations and those of `package` (`migrations/*.sql`, in order of name), each once.

        Safe when replicas start at once: an advisory lock lets one work while the others wait, then find it done.
        Raises RuntimeError when a migration that was applied has changed since.
        """
        async with self.transaction() as connection:
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtext($1))", f"migrate:{self.schema}", timeout=_MIGRATION_SECONDS
            )
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, checksum text NOT NULL,"
                " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
            )
            rows = await connection.fetch("SELECT name, checksum FROM schema_migrations")
            applied = {row["name"]: row["checksum"] for row in rows}
            for name, sql in (
                migration for part in dict.fromkeys((_SHARED_MIGRATIONS, package)) for migration in _migrations(part)
            ):
                checksum = hashlib.sha256(sql.encode()).hexdigest()
                if name not in applied:
                    await connection.execute(sql, timeout=_MIGRATION_SECONDS)
                    await connection.execute(
                        "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", name, checksum
                    )
                    _log.info("migration_applied", migration=name)
                elif applied[name] != checksum:
                    raise RuntimeError(f"migration {name} was changed after it was applied")


def _migrations(package: str) -> list[tuple[str, str]]:
    folder = resources.files(package) / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(f"{package}/{f.name}", f.read_text(encoding="utf-8")) for f in files]


async def _leave_as_it_is(_: Any) -> None:
    """Nobody here changes a session's settings, listens or takes locks beyond a transaction, which asyncpg ends itself.

    So nothing need be undone when a connection goes back to the pool; asking the server to would be one more question
    each time.
    """


async def _set_codecs(connection: Any) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads, schema="pg_catalog"
        )
