"""Models: when two registrations are the same, where exports lie, and what may be done with a model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.pipeline import LATEST, ExportFormat, GgufType
from contracts.registry import Model, ModelFile, RegisterModel
from contracts.topology import ARTIFACTS_BUCKET

_ONE_BESIDE = ("eval_path", "tokens_path", "statistics_path")
_SOME_BESIDE = ("validation_paths", "comparison_paths")
"""Details of a lineage that name what lies beside its steps."""


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


def paths_of(entry: RegisterModel) -> set[str]:
    """Where what belongs to the model lies: its exports, and what its training left and its rows went through."""
    folder = f"s3://{ARTIFACTS_BUCKET}/"
    told: list[Any] = [*entry.exports.values()]
    for step in entry.lineage:
        told += [step.path, *(step.details.get(name) for name in _ONE_BESIDE)]
        told += [path for name in _SOME_BESIDE for path in step.details.get(name, ())]
    return {
        path.rstrip("/")
        for path in told
        if isinstance(path, str) and path.startswith(folder) and path.rstrip("/") != folder.rstrip("/")
    }


def without(files: Iterable[ModelFile], paths: Iterable[str]) -> list[ModelFile]:
    """The files that lie neither at one of the paths nor below it."""
    places = {path.removeprefix("s3://").rstrip("/") for path in paths}
    return [file for file in files if not any(place in places for place in _places_of(f"{file.bucket}/{file.key}"))]


def _places_of(key: str) -> Iterable[str]:
    """The key, and all that it lies below."""
    return (key, *(key[:end] for end, sign in enumerate(key) if sign == "/"))


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


def checksummed(files: Iterable[ModelFile], model: Model, format: ExportFormat) -> list[ModelFile]:  # noqa: A002
    """The files with the checksums that were taken as they were written."""
    known = {file.name: file.sha256 for file in model.files if file.format == format}
    return [file.model_copy(update={"sha256": known.get(file.name)}) for file in files]


def quantized(files: list[ModelFile], quantization: GgufType | None) -> list[ModelFile]:
    """Those of one type of GGUF, or all. Raises `Refused(NOT_FOUND)` for a type that was not written."""
    if quantization is None:
        return files
    found = [file for file in files if file.name.endswith(f"-{quantization}.gguf")]
    if not found:
        there = ", ".join(file.name for file in files)
        raise Refused(RefusalCode.NOT_FOUND, f"There is no file of type {quantization}; there are: {there}")
    return found


def names_of(model: Model, newest: str | None) -> list[str]:
    """What a served model is asked by; `newest` is the id of the newest served model of its name."""
    names = [model.model_id, f"{model.model_name}@{model.version}"]
    names += [f"{model.model_name}@{alias}" for alias in model.aliases]
    return [*names, model.model_name] if newest == model.model_id else names


def references_of(model: Model, newest: str) -> list[str]:
    """All that jobs may name the model by; `newest` is the id of the newest of its name."""
    names = names_of(model, newest)
    return [*names, f"{model.model_name}@{LATEST}"] if newest == model.model_id else names


def check_uncompared(model: Model, job_ids: Sequence[str]) -> None:
    """Raises `Refused(CONFLICT)` where jobs have yet to compare the model."""
    if job_ids:
        message = (
            f"{model.model_id} is to be compared by {', '.join(job_ids[:5])}; wait for that, or ask with force=true"
        )
        raise Refused(RefusalCode.CONFLICT, message, {"jobs": [*job_ids]})


def check_deployable(model: Model) -> None:
    """Raises `Refused(CONFLICT)` for a model that no engine can load by itself."""
    if not model.exports.keys() & {"adapter", "merged"}:
        raise Refused(
            RefusalCode.CONFLICT,
            f"{model.model_id} has neither an adapter nor a merged export: serve its {' or '.join(model.exports)}"
            " export with an engine of its own, and attach that",
        )


def check_served(model: Model) -> None:
    """Raises `Refused(CONFLICT)`: whoever asks by an alias must be answered."""
    if model.deployment == "none":
        raise Refused(RefusalCode.CONFLICT, f"{model.model_id} is not deployed; deploy it first")
    check_deployable(model)


def check_unused(model: Model, *, deletes: bool) -> None:
    """Raises `Refused(CONFLICT)` for a model that somebody may count on."""
    if model.aliases:
        names = ", ".join(f"{model.model_name}@{alias}" for alias in model.aliases)
        hint = "move or remove the alias first, or ask with force=true"
        raise Refused(RefusalCode.CONFLICT, f"{model.model_id} is {names}; {hint}", {"aliases": model.aliases})
    if deletes and model.deployment == "requested":
        hint = "undeploy it first, or ask with force=true"
        raise Refused(RefusalCode.CONFLICT, f"{model.model_id} is deployed; {hint}")
