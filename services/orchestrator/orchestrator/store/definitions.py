"""What blocks, payloads and workflows have in common."""

from common.database import Connection


async def lock(connection: Connection) -> None:
    """Lets changes of definitions follow one another until the transaction ends, so that references stay true.

    They are rare, and reading them waits for nothing.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('orchestrator.definitions'))")
