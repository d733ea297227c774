"""From a trained model to a served one: the agents that evaluate, export and register."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from contracts.base import Message
from contracts.pipeline.names import AliasName, ExportFormat, GgufType, Name, TagName

Task = Literal["auto", "generation", "classification"]

Metric = Literal["loss", "perplexity", "token_accuracy", "exact_match", "token_f1", "rouge_l", "accuracy", "f1"]
"""What models are measured by. `exact_match`, `token_f1` and `rouge_l` compare an answer with its reference; `accuracy`
and `f1` (the mean over the labels, macro F1) count answers that are labels."""


class EvaluationConfig(Message):
    """Measures the trained model and its base on the held-out rows.

    Losses are measured on all rows, or `max_rows`; answers are asked for `generation_rows` of them, and
    `generate_samples` are kept for a person to read. A `classification` is told by its completions being few, short and
    repeated, or by `labels`.
    """

    batch_size: int = Field(default=8, ge=1, le=1024)
    max_rows: int | None = Field(default=None, ge=1)
    generate_samples: int = Field(default=4, ge=0, le=64)
    max_new_tokens: int = Field(default=48, ge=1, le=4096)
    generation_rows: int = Field(default=32, ge=0, le=10_000)
    task: Task = "auto"
    labels: list[Annotated[str, Field(min_length=1, max_length=200)]] | None = Field(
        default=None, min_length=2, max_length=200
    )

    @model_validator(mode="after")
    def _labels_are_of_a_classification(self) -> Self:
        if self.labels is not None and self.task == "generation":
            raise ValueError("labels belong to task 'classification'")
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is given twice")
        return self


class ComparisonConfig(EvaluationConfig):
    """Ranks models on one set of held-out rows: all that were trained before it, and registered `models`.

    `models` are ids, names, `name@version` and `name@alias`. Intervals hold `confidence` of what `resamples` draws of
    the rows give.
    """

    models: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=50)
    metric: Metric = "loss"
    include_base: bool = True
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100, le=10_000)
    seed: int = 42


def _named_types(value: Any) -> Any:
    """One name or several, in whichever case users of other tools write them."""
    names = value if isinstance(value, list) else [value]
    return [name.upper() if isinstance(name, str) else name for name in names]


class ExportConfig(Message):
    """Writes the trained model in the asked formats. Of `gguf` there is one file for each type in `quantization`.

    A whole model, `merged` or `gguf`, has the adapter added to the base in 16 or 32 bits, after QLoRA too.
    """

    formats: list[ExportFormat] = Field(default=["adapter"], min_length=1, max_length=3)
    quantization: Annotated[list[GgufType], BeforeValidator(_named_types)] = Field(
        default=["Q8_0"], min_length=1, max_length=11
    )


class RegistrationConfig(Message):
    """Enters the exported model into the registry, after which the router serves it by id and by name.

    `aliases` are moved to it; without `deploy` it is not served until somebody deploys it.
    """

    model_name: Name | None = None
    description: str = Field(default="", max_length=10_000)
    tags: list[TagName] = Field(default=[], max_length=50)
    aliases: list[AliasName] = Field(default=[], max_length=10)
    deploy: bool = True

    @model_validator(mode="after")
    def _aliases_are_served(self) -> Self:
        if self.aliases and not self.deploy:
            raise ValueError("an alias names a model that is served: leave out deploy, or aliases")
        return self


class Sample(Message):
    """One held-out question with the reference, the base model's answer and the trained model's."""

    prompt: str
    reference: str
    base_answer: str
    answer: str


class Confusion(Message):
    """How often an answer was each label: `counts[i][j]` rows of `labels[i]` were answered with `labels[j]`, and those
    of the last column with none of them."""

    labels: list[str]
    counts: list[list[int]]


class EvaluationOutput(Message):
    """Loss in nats a token over the completions of the held-out rows; perplexity is its exponential.

    `metrics` has those that the task has, `base_metrics` the same of the base model. Every row's scores and answer lie
    in JSON Lines at `report_path`.
    """

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
    task: Literal["generation", "classification"] = "generation"
    generated_rows: int = 0
    metrics: dict[Metric, float] = {}
    base_metrics: dict[Metric, float] = {}
    confusion: Confusion | None = None
    base_confusion: Confusion | None = None
    model_path: str | None = None
    report_path: str | None = None


class Interval(Message):
    """A value, and where it lies with the configured confidence if other rows had been held out."""

    value: float
    low: float
    high: float


class Contestant(Message):
    """A compared model: the trained one at `model_path`, the registered `model_id`, or, with neither, a base model.

    `behind` is how much worse it is than the best on the same rows; where that interval holds zero, the two cannot be
    told apart.
    """

    name: str
    base_model: str
    model_path: str | None = None
    model_id: str | None = None
    score: Interval
    behind: Interval | None = None
    metrics: dict[Metric, float]
    confusion: Confusion | None = None


class ComparisonOutput(Message):
    """`ranking` is best first. `best_model_path` is set where the best was trained in this job: what follows exports
    and registers that one."""

    kind: Literal["ComparisonAgent"] = "ComparisonAgent"
    metric: Metric
    task: Literal["generation", "classification"]
    rows: int
    generated_rows: int
    ranking: list[Contestant] = Field(min_length=1)
    best: str
    best_model_path: str | None
    best_model_id: str | None
    report_path: str


class ExportedFile(Message):
    """One file of an export: `name` below the export's prefix, `size` in bytes."""

    format: ExportFormat
    name: str
    size: int
    sha256: str


class ExportCheck(Message):
    """An export, loaded again and asked: `top1_agreement` is the share of positions where its most probable token is
    that of the trained model. It is below 1 where weights were rounded; everything else that differs is refused."""

    format: ExportFormat
    quantization: GgufType | None = None
    positions: int
    top1_agreement: float


class ExportOutput(Message):
    """`exports` are the S3 prefixes of what was written, checked and may be registered."""

    kind: Literal["ExportAgent"] = "ExportAgent"
    exports: dict[ExportFormat, str]
    size_bytes: int
    files: list[ExportedFile] = []
    checks: list[ExportCheck] = []


class RegistrationOutput(Message):
    kind: Literal["RegistrationAgent"] = "RegistrationAgent"
    model_id: str
    model_name: str
