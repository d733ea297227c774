"""DatasetAgent: reads a data set of any format and hands on one normalised Parquet table of text columns."""

import hashlib

from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetConfig, DatasetOutput
from trainer.agents.assignment import Assignment
from trainer.domain.configuration import config_of
from trainer.engine.reading import take_in


def run(work: Assignment) -> DatasetOutput:
    """Raises `Refused`: CONFIG_INVALID without a source, NOT_FOUND, DATASET_INVALID for an empty or broken file."""
    config = config_of(work.step, DatasetConfig)
    path = source_path(config, work)
    work.progress.log("INFO", f"Starting dataset ingestion: {path}")
    source = work.fetch(path)
    known = work.dataset.format if work.dataset else None
    table = take_in(source, source.name, config.format or known, work.limits, work.directory)
    work.objects.put_file(work.place(table.path.name), table.path)
    columns = ", ".join(table.columns)
    message = f"Dataset loaded: {table.rows} rows, {len(table.columns)} columns ({columns}), {table.format}"
    work.progress.log("INFO", message)
    with source.open("rb") as reader:
        sha256 = hashlib.file_digest(reader, "sha256").hexdigest()
    return DatasetOutput(
        dataset_id=config.dataset_id,
        s3_path=str(work.place(table.path.name)),
        format=table.format,
        rows=table.rows,
        columns=table.columns,
        size_bytes=source.stat().st_size,
        sha256=sha256,
    )


def source_path(config: DatasetConfig, work: Assignment) -> str:
    """Raises `Refused(CONFIG_INVALID)` when the configuration names no source."""
    if config.file_path is not None:
        return config.file_path
    if work.dataset is not None:
        return work.dataset.s3_path
    message = "DatasetAgent needs file_path or dataset_id"
    raise Refused(
        RefusalCode.CONFIG_INVALID, message, {"errors": [{"field": "file_path", "message": "field required"}]}
    )
