"""Trained models."""

# ruff: noqa: S608 - statements are put together from constants of this file alone

from common.database import Connection, Record
from contracts.registry import Model, ModelSummary, RegisterModel
from registry.store import storable

_COLUMNS = (
    "model_id, run_id, model_name, description, base_model, dataset_id, training_config, metrics, exports,"
    " chat_template, created_at"
)


async def add(connection: Connection, model_id: str, entry: RegisterModel) -> Model | None:
    """Enters the model; None when one with this idempotency key is there already."""
    row = await connection.fetchrow(
        "INSERT INTO models (model_id, idempotency_key, run_id, model_name, description, base_model, dataset_id,"
        " training_config, metrics, exports, chat_template) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        f" ON CONFLICT (idempotency_key) DO NOTHING RETURNING {_COLUMNS}",
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
    )
    return None if row is None else _model(row)


async def find_by_key(connection: Connection, idempotency_key: str) -> Model | None:
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM models WHERE idempotency_key = $1",
        idempotency_key,
    )
    return None if row is None else _model(row)


async def find(connection: Connection, reference: str) -> Model | None:
    """The model of that id, else the newest of that name."""
    if not storable(reference):
        return None
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM models WHERE model_id = $1 OR model_name = $1"
        " ORDER BY model_id = $1 DESC, number DESC LIMIT 1",
        reference,
    )
    return None if row is None else _model(row)


async def newest(
    connection: Connection, limit: int, offset: int, base_model: str | None
) -> tuple[list[ModelSummary], int]:
    """A page, the newest first, of all models or those of one base, and how many there are in all."""
    if base_model is not None and not storable(base_model):
        return [], 0
    rows = await connection.fetch(
        "SELECT model_id, run_id, model_name, base_model, created_at, metrics, exports FROM models"
        " WHERE $3::text IS NULL OR base_model = $3 ORDER BY number DESC LIMIT $1 OFFSET $2",
        limit,
        offset,
        base_model,
    )
    total: int = await connection.fetchval(
        "SELECT count(*) FROM models WHERE $1::text IS NULL OR base_model = $1", base_model
    )
    return [_summary(row) for row in rows], total


def _model(row: Record) -> Model:
    return Model.model_validate(dict(row))


def _summary(row: Record) -> ModelSummary:
    return ModelSummary.model_validate({**row, "exports": list(row["exports"])})
