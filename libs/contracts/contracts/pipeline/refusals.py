"""How a data set is refused, by whoever reads it, and a run that nobody knows."""

from contracts.base import RefusalCode, Refused

FILE = "file"
"""The field of document E's upload that carries the data."""


def invalid_dataset(message: str, *, field: str = FILE, line: int | None = None) -> Refused:
    """A data set that cannot be entered. `field` is the upload's field to blame, `line` the file's line (1-based)."""
    place = {} if line is None else {"line": line}
    return Refused(RefusalCode.DATASET_INVALID, message, {"errors": [{"field": field, "message": message}], **place})


def unknown_run(run_id: str) -> Refused:
    """Logs of a run that is not there. Who gives the id of a job is told what else a job has."""
    hint = ": a log goes by the `run_id` that its job tells" if run_id.startswith("job_") else ""
    return Refused(RefusalCode.NOT_FOUND, f"There is no such run{hint}", {"run_id": run_id})
