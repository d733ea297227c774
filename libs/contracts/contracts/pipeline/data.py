"""From a file to training examples: what the agents that read, check and prepare data are told and hand on."""

from typing import Literal

from pydantic import Field, model_validator

from contracts.base import Message
from contracts.pipeline.names import DatasetFormat, ModelReference, Template


class DatasetConfig(Message):
    """Reads a data set: an upload (`dataset_id`) or an object (`file_path`, `s3://bucket/key`). One of the two."""

    file_path: str | None = Field(default=None, max_length=1024)
    dataset_id: str | None = Field(default=None, max_length=64)
    format: DatasetFormat | None = None

    @model_validator(mode="after")
    def _names_one_source(self) -> "DatasetConfig":
        if self.file_path is not None and self.dataset_id is not None:
            raise ValueError("give file_path or dataset_id, not both")
        return self


class ValidationConfig(Message):
    """Rules a data set must meet. Ratios are shares of rows between 0 and 1; lengths count characters."""

    required_columns: list[str] = []
    min_rows: int = Field(default=1, ge=1)
    max_missing_ratio: float = Field(default=0.1, ge=0, le=1)
    max_duplicate_ratio: float = Field(default=0.5, ge=0, le=1)
    min_length: int = Field(default=1, ge=0)
    max_length: int = Field(default=100_000, ge=1)


class PreprocessingConfig(Message):
    """Turns rows into training examples: cleaning, deduplication, template, split, tokens.

    Beside the fields `instruction`, `output`, `input` and `system`, or the variables of a custom template, a template
    of questions and answers has `rejected`, an answer that is worse than the output: such rows are preferences, for
    the training objective `dpo`.

    `dedup_threshold` is the share of word shingles from which on two rows are near duplicates; None leaves only equal
    rows out. A row to train on that is as near as `contamination_threshold` to one that is held out gives the answer
    away: `contamination` says whether it is dropped, refused or left. `over_length` says the same of examples with more
    than `max_seq_length` tokens, of which `truncate` keeps the beginning, if any of the answer is in it.
    """

    base_model: ModelReference | None = None
    clean: bool = True
    dedup: bool = True
    dedup_threshold: float | None = Field(default=0.85, gt=0, le=1)
    contamination: Literal["drop", "refuse", "keep"] = "drop"
    contamination_threshold: float = Field(default=0.8, gt=0, le=1)
    over_length: Literal["drop", "truncate", "refuse"] = "drop"
    template: Template = "alpaca"
    template_mapping: dict[str, str] = {}
    custom_template: str | None = Field(default=None, max_length=20_000)
    eval_ratio: float = Field(default=0.1, gt=0, lt=1)
    max_seq_length: int = Field(default=512, ge=8, le=131_072)
    seed: int = 42

    @model_validator(mode="after")
    def _custom_has_its_template(self) -> "PreprocessingConfig":
        if (self.template == "custom") != (self.custom_template is not None):
            raise ValueError("custom_template belongs to template 'custom', and is needed there")
        return self


class DatasetOutput(Message):
    kind: Literal["DatasetAgent"] = "DatasetAgent"
    dataset_id: str | None
    s3_path: str
    format: DatasetFormat
    rows: int
    columns: list[str]
    size_bytes: int
    sha256: str


class RuleFinding(Message):
    """One broken rule: how many rows, and the first of them (0-based): some, and as many as are told at all."""

    rule: str
    severity: Literal["error", "warning"]
    message: str
    rows: int
    examples: list[int] = []
    row_numbers: list[int] = []


class ValidationOutput(Message):
    kind: Literal["ValidationAgent"] = "ValidationAgent"
    rows: int
    findings: list[RuleFinding]
    report_path: str


class PreprocessingOutput(Message):
    """`train_path` and `eval_path` are JSON Lines objects of `{"prompt", "completion"}` rows, already in the
    template's form. Below `tokens_path` are their token ids; at `data_path` is the table that they were made of."""

    kind: Literal["PreprocessingAgent"] = "PreprocessingAgent"
    base_model: str
    template: Template
    chat_template: str | None
    train_path: str
    eval_path: str
    tokens_path: str | None = None
    data_path: str | None = None
    train_rows: int
    eval_rows: int
    dropped_rows: int
    contaminated_rows: int = 0
    truncated_rows: int = 0
    train_tokens: int
    eval_tokens: int
    max_seq_length: int
