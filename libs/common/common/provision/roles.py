"""Creates the database, and in it a role and a schema for each service, which sees nothing else."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import asyncpg


async def provision_roles(url: str, passwords: Mapping[str, str]) -> None:
    """Brings Postgres to what the services expect; safe to repeat, and to repeat with other passwords.

    `url` names the database and its administrator, `passwords` the services. Raises what asyncpg raises.
    """
    database = urlsplit(url).path.removeprefix("/")
    await _create_database(url, database)
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await _run(connection, "REVOKE ALL ON DATABASE %I FROM PUBLIC", database)
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            for service, password in passwords.items():
                await _put_role(connection, database, service, password)
    finally:
        await connection.close()


async def _create_database(url: str, database: str) -> None:
    connection = await asyncpg.connect(url, database="postgres")
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
            await _run(connection, "CREATE DATABASE %I", database)
    finally:
        await connection.close()


async def _put_role(connection: "asyncpg.Connection[asyncpg.Record]", database: str, role: str, password: str) -> None:
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        await _run(connection, "CREATE ROLE %I LOGIN", role)
        await _run(connection, "ALTER ROLE %1$I SET search_path = %1$I", role)
        if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            # Hosted databases have administrators who may give away only what is their own.
            await _run(connection, "GRANT %I TO CURRENT_USER", role)
    await _run(connection, "ALTER ROLE %I PASSWORD %L", role, password)
    await _run(connection, "GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I", database, role)
    await _run(connection, "CREATE SCHEMA IF NOT EXISTS %1$I AUTHORIZATION %1$I", role)


async def _run(connection: "asyncpg.Connection[asyncpg.Record]", statement: str, *names: str) -> None:
    """Statements that take no arguments have them written in by Postgres itself, which knows how to quote them."""
    arguments = "".join(f", ${number}::text" for number in range(2, 2 + len(names)))
    await connection.execute(await connection.fetchval(f"SELECT format($1::text{arguments})", statement, *names))
