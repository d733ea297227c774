"""What the trainer remembers: which content its agents have already worked on, and what they made of it."""

from pydantic import TypeAdapter, ValidationError

from common.database import Connection
from contracts.pipeline import AgentOutput

_OUTPUT: TypeAdapter[AgentOutput] = TypeAdapter(AgentOutput)


async def find_artifact(connection: Connection, content_key: str) -> AgentOutput | None:
    """The output kept under the key. One that an older version wrote and this one cannot read counts as none."""
    kept = await connection.fetchval("SELECT output FROM artifacts WHERE content_key = $1", content_key)
    if kept is None:
        return None
    try:
        return _OUTPUT.validate_python(kept)
    except ValidationError:
        return None


async def keep_artifact(connection: Connection, content_key: str, output: AgentOutput) -> None:
    """Keeps the output; the newest of one key stands, since its objects are the likeliest to exist."""
    await connection.execute(
        "INSERT INTO artifacts (content_key, agent_class, output) VALUES ($1, $2, $3)"
        " ON CONFLICT (content_key) DO UPDATE SET output = excluded.output, created_at = clock_timestamp()",
        content_key,
        output.kind,
        output.model_dump(mode="json"),
    )


async def forget_artifact(connection: Connection, content_key: str) -> None:
    await connection.execute("DELETE FROM artifacts WHERE content_key = $1", content_key)
