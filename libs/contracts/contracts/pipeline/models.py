"""From a trained model to a served one: the agents that evaluate, export and register."""

from typing import Literal

from pydantic import Field

from contracts.base import Message
from contracts.pipeline.names import ExportFormat, Name


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
