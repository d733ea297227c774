"""Uploaded objects: where they lie, which data set they are, and which of them no one entered."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.base import RefusalCode, Refused
from contracts.pipeline import invalid_dataset
from contracts.registry import Dataset, DatasetLineage, RegisterDataset
from contracts.topology import DATASETS_BUCKET

UPLOAD_PREFIX = "ds_"
"""What the keys of all uploads begin with: `ds_…/filename`."""


@dataclass(frozen=True)
class Upload:
    """An object in the bucket of data sets."""

    key: str
    modified: datetime

    @property
    def dataset_id(self) -> str:
        return self.key.split("/", 1)[0]


def folder_of(dataset_id: str) -> str:
    """Where all objects of a data set lie."""
    return f"s3://{DATASETS_BUCKET}/{dataset_id}/"


def check_unused(lineage: DatasetLineage) -> None:
    """Raises `Refused(CONFLICT)` that names the jobs that go on and the models, if any needs the data set."""
    jobs = [run.job_id for run in lineage.runs if run.goes_on]
    models = [model.model_id for model in lineage.models]
    if jobs or models:
        needed = ", ".join([*jobs, *models][:5]) + (", …" if len(jobs) + len(models) > 5 else "")
        message = f"Data set {lineage.dataset_id} is needed by {needed}. Delete it with `force` to do so in any case"
        raise Refused(RefusalCode.CONFLICT, message, {"jobs": jobs, "models": models})


def check_upload(upload: RegisterDataset) -> None:
    """Raises `Refused(DATASET_INVALID)` for an object outside of its data set's folder, or a name no one could show."""
    folder = folder_of(upload.dataset_id)
    name = upload.s3_path.removeprefix(folder)
    if name in ("", upload.s3_path) or ".." in name.split("/"):
        raise invalid_dataset(f"The object is not in {folder}", field="s3_path")
    if any(unicodedata.category(character) == "Cc" for character in upload.filename + upload.s3_path):
        raise invalid_dataset("The name of the file holds control characters")


def confirmed(dataset: Dataset, upload: RegisterDataset) -> Dataset:
    """The data set, if `upload` is what it was made of. Raises `Refused(CONFLICT)` if another object was."""
    if dataset.dataset_id != upload.dataset_id:
        return dataset  # of the same name and content, which there was already
    sha256 = dataset.sha256 if upload.sha256 is None else upload.sha256.lower()
    made_of = (dataset.s3_path, dataset.size_bytes, dataset.sha256, dataset.filename)
    if made_of != (upload.s3_path, upload.size_bytes, sha256, upload.filename):
        raise Refused(RefusalCode.CONFLICT, f"Data set {dataset.dataset_id} is another file")
    return dataset


def expired(uploads: Iterable[Upload], now: datetime, age: timedelta) -> list[Upload]:
    """Those that are old enough to be orphans, if no data set was made of them."""
    return [upload for upload in uploads if now - upload.modified > age]
