"""Models: when two registrations are the same, and where exports lie."""

from collections.abc import Mapping

from contracts.base import RefusalCode, Refused
from contracts.pipeline import ExportFormat
from contracts.registry import Model, RegisterModel
from contracts.topology import ARTIFACTS_BUCKET


def check_entry(entry: RegisterModel) -> None:
    """Raises `Refused(INVALID)` for exports outside of the artifacts' bucket and for text that cannot be kept."""
    errors = [
        {"field": field, "message": "holds a zero character"}
        for field, text in {
            "idempotency_key": entry.idempotency_key,
            "description": entry.description,
            "base_model": entry.base_model,
            "dataset_id": entry.dataset_id or "",
            "chat_template": entry.chat_template or "",
        }.items()
        if "\0" in text
    ]
    folder = f"s3://{ARTIFACTS_BUCKET}/"
    errors += [
        {"field": f"exports.{name}", "message": f"is not in {folder}"}
        for name, path in entry.exports.items()
        if path.rstrip("/") == folder.rstrip("/") or not path.startswith(folder) or ".." in path.split("/")
    ]
    if errors:
        raise Refused(RefusalCode.INVALID, "The model cannot be entered", {"errors": errors})


def check_exported(counts: Mapping[ExportFormat, int]) -> None:
    """`counts` are the numbers of files of each export. Raises `Refused(INVALID)` where there are none."""
    empty = [{"field": f"exports.{name}", "message": "holds no files"} for name, count in counts.items() if count == 0]
    if empty:
        raise Refused(RefusalCode.INVALID, "A model is entered after it is exported", {"errors": empty})


def confirmed(model: Model, entry: RegisterModel) -> Model:
    """The model, if `entry` is a repeated call of the one that made it. Raises `Refused(CONFLICT)` if another did."""
    made_of = (model.run_id, model.model_name, model.base_model, model.exports)
    if made_of != (entry.run_id, entry.model_name, entry.base_model, entry.exports):
        raise Refused(
            RefusalCode.CONFLICT,
            f"Idempotency key {entry.idempotency_key!r} belongs to another model, {model.model_id}",
        )
    return model


def exported_path(model: Model, format: ExportFormat) -> str:  # noqa: A002 - the contract's word
    """Where the model's export lies. Raises `Refused(NOT_FOUND)` when it was not exported so."""
    path = model.exports.get(format)
    if path is None:
        there = ", ".join(model.exports)
        raise Refused(RefusalCode.NOT_FOUND, f"Model {model.model_id} has no export {format!r}; it has: {there}")
    return path
