"""What the trainer remembers: which content its agents have already worked on, and what they made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from common.database import Connection
from contracts.pipeline import AgentOutput
from contracts.topology import ARTIFACTS_BUCKET

_OUTPUT: TypeAdapter[AgentOutput] = TypeAdapter(AgentOutput)


@dataclass(frozen=True)
class Artifact:
    """An earlier output, with the fingerprint of each of its objects."""

    output: AgentOutput
    objects: Mapping[str, str]


async def find_artifact(connection: Connection, content_key: str) -> Artifact | None:
    """What is kept under the key. What an older version wrote and this one cannot read counts as nothing."""
    row = await connection.fetchrow("SELECT output, objects FROM artifacts WHERE content_key = $1", content_key)
    if row is None:
        return None
    try:
        return Artifact(_OUTPUT.validate_python(row["output"]), row["objects"])
    except ValidationError:
        return None


async def keep_artifact(connection: Connection, content_key: str, artifact: Artifact) -> None:
    """Keeps the artifact; the newest of one key stands, since its objects are the likeliest to exist."""
    await connection.execute(
        "INSERT INTO artifacts (content_key, agent_class, output, objects) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (content_key) DO UPDATE"
        " SET output = excluded.output, objects = excluded.objects, created_at = clock_timestamp()",
        content_key,
        artifact.output.kind,
        artifact.output.model_dump(mode="json"),
        dict(artifact.objects),
    )


async def forget_artifact(connection: Connection, content_key: str) -> None:
    await connection.execute("DELETE FROM artifacts WHERE content_key = $1", content_key)


async def forget_runs(connection: Connection, run_ids: Sequence[str]) -> int:
    """Forgets what the runs made, whose objects may be gone; how much that was."""
    tag = await connection.execute(
        "DELETE FROM artifacts WHERE EXISTS ("
        "SELECT FROM jsonb_object_keys(objects) AS path WHERE starts_with(path, $2)"
        " AND split_part(path, '/', 4) = ANY ($1::text[]))",
        list(run_ids),
        f"s3://{ARTIFACTS_BUCKET}/",
    )
    return int(tag.rsplit(" ", 1)[1])
