"""The agents of a pipeline job: what each is told (`…Config`), what it hands on (`…Output`), and why it failed.

Field names follow document E (`specs/E-pipeline-api.md`); where it is silent, those that users of PEFT and TRL know.
A configuration is checked when a job is submitted, so a job that cannot run is refused before anything starts.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from contracts.base import Message

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
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
"""A name that is safe as a subject token, a path segment and a file name."""
ModelReference = Annotated[str, Field(min_length=1, max_length=300)]
"""A Hugging Face id, a name under the models directory, or a path inside it."""


class ErrorCode(StrEnum):
    """The error codes of document E."""

    VALIDATION = "VALIDATION_ERROR"
    DATASET = "DATASET_ERROR"
    TRAINING = "TRAINING_ERROR"
    STORAGE = "STORAGE_ERROR"
    CONFIG = "CONFIG_ERROR"
    NOT_FOUND = "NOT_FOUND"
    INTERNAL = "INTERNAL_ERROR"


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
    """Turns rows into training examples: cleaning, deduplication, template, split, tokens."""

    base_model: ModelReference | None = None
    clean: bool = True
    dedup: bool = True
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


class TrainingConfig(Message):
    """One fine-tuning run.

    `max_steps` (optimizer steps) overrides `epochs`; `save_steps` is the checkpoint interval.
    """

    base_model: ModelReference | None = None
    method: TrainingMethod = "lora"
    lora_r: int = Field(default=16, ge=1, le=1024)
    lora_alpha: int = Field(default=32, ge=1, le=4096)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    epochs: float = Field(default=3, gt=0, le=1000)
    max_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=4, ge=1, le=1024)
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=1024)
    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    lr_scheduler_type: Literal["linear", "cosine", "constant"] = "cosine"
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    train_on_inputs: bool = False
    logging_steps: int = Field(default=10, ge=1)
    save_steps: int = Field(default=50, ge=1)
    seed: int = 42


class EvaluationConfig(Message):
    """Measures the trained model and its base on the held-out rows.

    `generate_samples` answers are kept for a person to read.
    """

    batch_size: int = Field(default=8, ge=1, le=1024)
    max_rows: int | None = Field(default=None, ge=1)
    generate_samples: int = Field(default=4, ge=0, le=64)
    max_new_tokens: int = Field(default=48, ge=1, le=4096)


class ExportConfig(Message):
    """Writes the trained model in the asked formats."""

    formats: list[ExportFormat] = Field(default=["adapter"], min_length=1)


class RegistrationConfig(Message):
    """Enters the exported model into the registry, after which the router serves it by id and by name."""

    model_name: Name | None = None
    description: str = Field(default="", max_length=10_000)


class GlobalConfig(Message):
    """What holds for every agent of a job. `base_model` and `dataset_id` are defaults for agents that name none."""

    max_retries: int = Field(default=3, ge=0, le=20)
    base_model: ModelReference | None = None
    dataset_id: str | None = None
    step_timeout_seconds: float = Field(default=24 * 3600, gt=0, le=30 * 24 * 3600)


AgentConfig = (
    DatasetConfig
    | ValidationConfig
    | PreprocessingConfig
    | TrainingConfig
    | EvaluationConfig
    | ExportConfig
    | RegistrationConfig
)

AGENT_CONFIGS: dict[str, type[AgentConfig]] = {
    "DatasetAgent": DatasetConfig,
    "ValidationAgent": ValidationConfig,
    "PreprocessingAgent": PreprocessingConfig,
    "TrainingAgent": TrainingConfig,
    "EvaluationAgent": EvaluationConfig,
    "ExportAgent": ExportConfig,
    "RegistrationAgent": RegistrationConfig,
}
"""The configuration each agent class takes; its keys are the agent classes there are."""


class Node(Message):
    """One agent of a job as a caller writes it; `config` is checked against `AGENT_CONFIGS[agent_class]`."""

    agent_name: Name
    agent_class: str = Field(max_length=64)
    config: dict[str, Any] = {}


class Edge(Message):
    """`to_agent` starts when `from_agent` has finished."""

    from_agent: str
    to_agent: str


class PipelineConfig(Message):
    """The DAG of a job, as document E writes it."""

    run_id: Name | None = None
    nodes: list[Node] = Field(min_length=1, max_length=200)
    edges: list[Edge] = Field(default=[], max_length=2000)
    global_config: GlobalConfig = GlobalConfig()


# What agents hand on. `kind` is the agent class, so a list of outputs reads back as the right types.


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
    """One broken rule: how many rows, and the first of them (0-based)."""

    rule: str
    severity: Literal["error", "warning"]
    message: str
    rows: int
    examples: list[int] = []


class ValidationOutput(Message):
    kind: Literal["ValidationAgent"] = "ValidationAgent"
    rows: int
    findings: list[RuleFinding]
    report_path: str


class PreprocessingOutput(Message):
    """`train_path` and `eval_path` are JSON Lines objects of `{"prompt", "completion"}` rows, already in the
    template's form."""

    kind: Literal["PreprocessingAgent"] = "PreprocessingAgent"
    base_model: str
    template: Template
    chat_template: str | None
    train_path: str
    eval_path: str
    train_rows: int
    eval_rows: int
    dropped_rows: int
    train_tokens: int
    eval_tokens: int
    max_seq_length: int


class TrainingOutput(Message):
    """`model_path` is the S3 prefix of the adapter (LoRA, QLoRA) or of the whole model (full).

    Losses are nats a token.
    """

    kind: Literal["TrainingAgent"] = "TrainingAgent"
    base_model: str
    method: TrainingMethod
    config: TrainingConfig
    model_path: str
    steps: int
    epochs: float
    first_loss: float
    final_loss: float
    tokens: int
    seconds: float
    resumed_from_step: int


class Sample(Message):
    """One held-out question with the reference, the base model's answer and the trained model's."""

    prompt: str
    reference: str
    base_answer: str
    answer: str


class EvaluationOutput(Message):
    """Loss in nats a token over the completions of the held-out rows; perplexity is its exponential."""

    kind: Literal["EvaluationAgent"] = "EvaluationAgent"
    rows: int
    tokens: int
    loss: float
    perplexity: float
    token_accuracy: float
    base_loss: float
    base_perplexity: float
    base_token_accuracy: float
    samples: list[Sample] = []


class ExportOutput(Message):
    kind: Literal["ExportAgent"] = "ExportAgent"
    exports: dict[ExportFormat, str]
    size_bytes: int


class RegistrationOutput(Message):
    kind: Literal["RegistrationAgent"] = "RegistrationAgent"
    model_id: str
    model_name: str


AgentOutput = Annotated[
    DatasetOutput
    | ValidationOutput
    | PreprocessingOutput
    | TrainingOutput
    | EvaluationOutput
    | ExportOutput
    | RegistrationOutput,
    Field(discriminator="kind"),
]
