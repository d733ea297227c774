"""Trained models, their versions and aliases. Deleted ones are found by their registration alone."""

# ruff: noqa: S608 - statements are put together from constants of this file alone

from typing import Any

from common.database import Connection, Record
from contracts.registry import ListModels, Model, ModelSummary, RegisterModel
from registry.domain.references import Reference
from registry.store import storable

_ALIASES = "ARRAY(SELECT alias FROM aliases WHERE aliases.model_id = models.model_id ORDER BY alias) AS aliases"
_SUMMARY = (
    "model_id, run_id, model_name, version, base_model, metrics, exports, tags, deployment, created_at, " + _ALIASES
)
_COLUMNS = _SUMMARY + ", description, dataset_id, training_config, chat_template, files, checks"


async def add(connection: Connection, model_id: str, entry: RegisterModel, revision: int) -> Model:
    """Enters the model as the next version of its name. Needs the turn: see `serving.take_turn`."""
    await connection.execute(
        "INSERT INTO models (model_id, idempotency_key, run_id, model_name, version, description, base_model,"
        " dataset_id, training_config, metrics, exports, chat_template, tags, deployment, files, checks, lineage,"
        " revision) SELECT $1, $2, $3, $4, coalesce(max(version), 0) + 1, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
        " $15, $16, $17 FROM models WHERE model_name = $4",
        model_id,
        entry.idempotency_key,
        entry.run_id,
        entry.model_name,
        entry.description,
        entry.base_model,
        entry.dataset_id,
        entry.training_config,
        entry.metrics,
        entry.exports,
        entry.chat_template,
        list(dict.fromkeys(entry.tags)),
        "automatic" if entry.deploy else "none",
        [file.model_dump() for file in entry.files],
        [check.model_dump() for check in entry.checks],
        [step.model_dump() for step in entry.lineage],
        revision,
    )
    model = await find(connection, Reference(model_id))
    assert model is not None  # noqa: S101 - it was entered in this transaction
    return model


async def find_by_key(connection: Connection, idempotency_key: str) -> Model | None:
    """Also one that was deleted since: its registration is not repeated."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM models WHERE idempotency_key = $1", idempotency_key)
    return None if row is None else _model(row)


async def find(connection: Connection, reference: Reference) -> Model | None:
    """The model of that id; else of that name the version, the one with the alias, or the newest."""
    if not storable(f"{reference.name}{reference.alias or ''}"):
        return None
    if reference.version is not None:
        condition, which = "model_name = $1 AND version = $2", reference.version
    elif reference.alias is not None:
        condition = "model_id = (SELECT model_id FROM aliases WHERE model_name = $1 AND alias = $2)"
        which = reference.alias  # type: ignore[assignment]
    else:
        condition, which = "model_id = $1 OR model_name = $1 AND $2 = 0", 0
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM models WHERE deleted_at IS NULL AND ({condition})"
        " ORDER BY model_id = $1 DESC, number DESC LIMIT 1",
        reference.name,
        which,
    )
    return None if row is None else _model(row)


async def newest(connection: Connection, asked: ListModels) -> tuple[list[ModelSummary], int]:
    """A page of those that have all that is asked for, the newest first, and how many there are in all."""
    texts = (asked.base_model, asked.model_name, asked.tag, asked.alias, asked.dataset_id, asked.run_id)
    if not all(storable(text) for text in texts if text is not None):
        return [], 0
    condition = (
        "deleted_at IS NULL"
        " AND ($1::text IS NULL OR base_model = $1) AND ($2::text IS NULL OR model_name = $2)"
        " AND ($3::text IS NULL OR $3 = ANY (tags))"
        " AND ($4::text IS NULL OR model_id IN (SELECT model_id FROM aliases WHERE alias = $4))"
        " AND ($5::text IS NULL OR dataset_id = $5) AND ($6::text IS NULL OR run_id = $6)"
        " AND ($7::text IS NULL OR exports ->> $7 IS NOT NULL)"
        " AND ($8::boolean IS NULL OR (deployment <> 'none') = $8)"
    )
    filters = (*texts, asked.format, asked.deployed)
    rows = await connection.fetch(
        f"SELECT {_SUMMARY} FROM models WHERE {condition} ORDER BY number DESC LIMIT $9 OFFSET $10",
        *filters,
        asked.limit,
        asked.offset,
    )
    total: int = await connection.fetchval(f"SELECT count(*) FROM models WHERE {condition}", *filters)
    return [_summary(row) for row in rows], total


async def summary(connection: Connection, model_id: str) -> ModelSummary:
    row = await connection.fetchrow(f"SELECT {_SUMMARY} FROM models WHERE model_id = $1", model_id)
    assert row is not None  # noqa: S101 - a row of a model is never removed
    return _summary(row)


async def lineage(connection: Connection, model_id: str) -> list[dict[str, Any]]:
    """What registration told of where the model came from."""
    steps: list[dict[str, Any]] = await connection.fetchval("SELECT lineage FROM models WHERE model_id = $1", model_id)
    return steps


async def describe(connection: Connection, model_id: str, description: str | None, tags: list[str] | None) -> None:
    await connection.execute(
        "UPDATE models SET description = coalesce($2, description), tags = coalesce($3, tags) WHERE model_id = $1",
        model_id,
        description,
        None if tags is None else list(dict.fromkeys(tags)),
    )


async def find_curve(connection: Connection, model_id: str) -> list[dict[str, float | None]] | None:
    points: list[dict[str, float | None]] | None = await connection.fetchval(
        "SELECT points FROM loss_curves WHERE model_id = $1", model_id
    )
    return points


async def without_curve(connection: Connection, *, limit: int) -> list[str]:
    """Models that were registered a day ago and whose losses nobody has read, the oldest first."""
    rows = await connection.fetch(
        "SELECT model_id FROM models WHERE deleted_at IS NULL AND created_at < statement_timestamp() - interval '1 day'"
        " AND NOT EXISTS (SELECT FROM loss_curves WHERE loss_curves.model_id = models.model_id)"
        " ORDER BY number LIMIT $1",
        limit,
    )
    return [row["model_id"] for row in rows]


async def keep_curve(connection: Connection, model_id: str, points: list[dict[str, float | None]]) -> None:
    await connection.execute(
        "INSERT INTO loss_curves (model_id, points) VALUES ($1, $2) ON CONFLICT DO NOTHING", model_id, points
    )


def _model(row: Record) -> Model:
    return Model.model_validate(dict(row))


def _summary(row: Record) -> ModelSummary:
    return ModelSummary.model_validate({**row, "exports": list(row["exports"])})
