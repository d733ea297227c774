"""Where a served model came from, link by link, back to the file of rows."""

from collections.abc import Sequence

from contracts.registry import Dataset, LineageStep, Model
from contracts.topology import ARTIFACTS_BUCKET


def place_of(run_id: str) -> str:
    """Below which all lies that a run made."""
    return f"s3://{ARTIFACTS_BUCKET}/{run_id}"


def training_run(model: Model, told: Sequence[LineageStep]) -> str:
    """The run whose log tells of the training: an earlier one than the model's, where its result was used again."""
    path = next((step.path for step in told if step.kind == "training" and step.path is not None), None)
    return model.run_id if path is None else path.removeprefix(f"s3://{ARTIFACTS_BUCKET}/").split("/", 1)[0]


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
