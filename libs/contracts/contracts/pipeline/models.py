"""From a trained model to a served one: the agents that evaluate, export and register."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from contracts.base import Message
from contracts.pipeline.names import ExportFormat, GgufType, Name


class EvaluationConfig(Message):
    """Measures the trained model and its base on the held-out rows.

    `generate_samples` answers are kept for a person to read.
    """

    batch_size: int = Field(default=8, ge=1, le=1024)
    max_rows: int | None = Field(default=None, ge=1)
    generate_samples: int = Field(default=4, ge=0, le=64)
    max_new_tokens: int = Field(default=48, ge=1, le=4096)


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
        default=["Q8_0"], min_length=1, max_length=8
    )


class RegistrationConfig(Message):
    """Enters the exported model into the registry, after which the router serves it by id and by name."""

    model_name: Name | None = None
    description: str = Field(default="", max_length=10_000)


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
