"""Where a served model came from, link by link, back to the file of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.registry import Dataset, LineageStep, Model
from contracts.topology import ARTIFACTS_BUCKET

_TRAINER = "TrainingAgent"


@dataclass(frozen=True)
class Training:
    """The run that trained a model, and the agent of it that did, by its name; by its class where that is not known."""

    run_id: str
    agent: str = _TRAINER


def place_of(run_id: str) -> str:
    """Below which all lies that a run made."""
    return f"s3://{ARTIFACTS_BUCKET}/{run_id}"


def training_of(model: Model, told: Sequence[LineageStep]) -> Training:
    """Of an earlier run than the model's, where a result was used again. A run that tries several values has several
    agents that train."""
    path = next((step.path for step in told if step.kind == "training" and step.path is not None), None)
    if path is None:
        return Training(model.run_id)
    run_id, agent, *_ = path.removeprefix(f"s3://{ARTIFACTS_BUCKET}/").split("/")
    return Training(run_id, agent)


def lineage_of(model: Model, told: Sequence[LineageStep], dataset: Dataset | None) -> list[LineageStep]:
    """`told` is what registration said of the steps between; `dataset` what the registry knows of the rows."""
    steps = [
        LineageStep(kind="served", name=f"{model.model_name}@{alias}", details={"alias": alias})
        for alias in model.aliases
    ]
    steps.append(
        LineageStep(
            kind="model",
            name=f"{model.model_name}@{model.version}",
            details={"model_id": model.model_id, "base_model": model.base_model, "deployment": model.deployment},
        )
    )
    steps += told or [LineageStep(kind="export", name=name, path=path) for name, path in model.exports.items()]
    if dataset is not None:
        details = {"dataset_id": dataset.dataset_id, "rows": dataset.rows, "sha256": dataset.sha256}
        details |= {"size_bytes": dataset.size_bytes, "uploaded_at": dataset.created_at.isoformat()}
        steps.append(LineageStep(kind="file", name=dataset.filename, path=dataset.s3_path, details=details))
    return steps
