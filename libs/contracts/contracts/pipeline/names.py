"""The names and words that every agent of a pipeline job uses, and the error codes of document E."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

DatasetFormat = Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"]

SUFFIXES: Mapping[str, DatasetFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "txt",
}
"""The endings of file names that say which format a file has."""

Template = Literal["alpaca", "chatml", "sharegpt", "messages", "llama", "mistral", "model", "custom"]

TrainingMethod = Literal["lora", "qlora", "full"]

ExportFormat = Literal["adapter", "merged", "gguf"]

GgufType = Literal["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q6_K", "Q5_K_M", "Q4_K_M"]
"""In how many bits, and how, a GGUF file keeps weights, by llama.cpp's names."""

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
"""A name that is safe as a subject token, a path segment and a file name."""

LATEST = "latest"


def _no_reserved_name(alias: str) -> str:
    if alias == LATEST:
        raise ValueError(f"{LATEST!r} always is the newest version, and cannot be moved")
    return alias


AliasName = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$"),
    AfterValidator(_no_reserved_name),
]
"""`production`, `staging`, …: a name that may be moved from one version to another. `latest` always is the newest."""

TagName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/ -]*$")]


ModelReference = Annotated[str, Field(min_length=1, max_length=300)]
"""A Hugging Face id, a name under the models directory, or a path inside it. It may be of a job that an earlier version
took and that is kept for ever, so what is new is checked where it comes in: see `SubmittedModel`."""

NO_PLACE_ELSEWHERE = "must be a Hugging Face id, or a name or a path in the models directory"


def lies_elsewhere(reference: str) -> bool:
    """Whether it can be no `ModelReference` that somebody asks for now: an address, or a path that leads out."""
    return "://" in reference or ".." in reference.split("/")


def _no_place_elsewhere(reference: str) -> str:
    if lies_elsewhere(reference):
        raise ValueError(NO_PLACE_ELSEWHERE)
    return reference


SubmittedModel = Annotated[ModelReference, AfterValidator(_no_place_elsewhere)]
"""A `ModelReference` in a question, which nobody keeps in this form."""


class ErrorCode(StrEnum):
    """The error codes of document E."""

    VALIDATION = "VALIDATION_ERROR"
    DATASET = "DATASET_ERROR"
    TRAINING = "TRAINING_ERROR"
    STORAGE = "STORAGE_ERROR"
    CONFIG = "CONFIG_ERROR"
    NOT_FOUND = "NOT_FOUND"
    INTERNAL = "INTERNAL_ERROR"
