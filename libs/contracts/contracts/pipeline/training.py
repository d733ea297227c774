"""What the agent that trains is told and hands on."""

from typing import Literal

from pydantic import Field

from contracts.base import Message
from contracts.pipeline.names import ModelReference, TrainingMethod


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
