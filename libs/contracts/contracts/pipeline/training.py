"""What the agent that trains is told and hands on."""

from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from contracts.base import Message, Timestamp
from contracts.pipeline.dialects import translate
from contracts.pipeline.names import ModelReference, TrainingMethod

Schedule = Literal["linear", "cosine", "constant", "inverse_sqrt"]
Precision = Literal["auto", "bfloat16", "float32"]

MOST_STEPS = 1_000_000_000
"""Optimizer steps that may be asked for."""
_STEPS: JsonDict = {"maximum": MOST_STEPS}
"""Told to callers, and checked when a job is submitted: what is kept for ever may be from before there was a bound."""
COUNTS_OF_STEPS = ("max_steps", "warmup_steps", "logging_steps", "eval_steps", "save_steps")

_OF_ADAPTERS = ("lora_r", "lora_alpha", "lora_dropout", "target_modules")


class TrainingConfig(Message):
    """One fine-tuning run. The names that PEFT, TRL, LLaMA-Factory and Axolotl have for these fields are taken too.

    `objective`: `sft` learns answers, `dpo` learns to prefer the chosen of two answers (rows with `chosen` and
    `rejected`), against the base model without the adapter, with `dpo_beta` as its temperature.

    `max_steps` (optimizer steps) overrides `epochs`. `batch_size` counts rows, or with `packing` sequences of up to
    `max_seq_length` tokens that are filled with whole rows, which never see each other. `max_seq_length` cuts the rows
    shorter than they were prepared. The learning rate warms up over `warmup_steps`, or else over `warmup_ratio` of all
    steps, and ends at `min_lr_ratio` of its peak.

    Every `eval_steps`, by default after each epoch, the loss is measured on held-out rows. `keep_best` keeps the
    weights of the best measurement, and `early_stopping_patience` ends a run after that many that are not better by
    `early_stopping_threshold`. `save_steps` is the checkpoint interval.

    `activation_checkpointing`, by default only where memory needs it, computes activations twice to save memory;
    `torch_compile` compiles the model, which pays on long runs; `use_liger_kernel`, by default where they are
    installed and there is a GPU, takes Liger's kernels.
    """

    base_model: ModelReference | None = None
    method: TrainingMethod = "lora"
    objective: Literal["sft", "dpo"] = "sft"
    dpo_beta: float = Field(default=0.1, gt=0, le=10)
    lora_r: int = Field(default=16, ge=1, le=1024)
    lora_alpha: int = Field(default=32, ge=1, le=4096)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    epochs: float = Field(default=3, gt=0, le=1000)
    max_steps: int | None = Field(default=None, ge=1, json_schema_extra=_STEPS)
    batch_size: int = Field(default=4, ge=1, le=1024)
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=1024)
    packing: bool = False
    max_seq_length: int | None = Field(default=None, ge=8, le=131_072)
    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    lr_scheduler_type: Schedule = "cosine"
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    warmup_steps: int | None = Field(default=None, ge=0, json_schema_extra=_STEPS)
    min_lr_ratio: float = Field(default=0.0, ge=0, lt=1)
    optimizer: Literal["adamw"] = "adamw"
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0, le=1e-2)
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    train_on_inputs: bool = False
    precision: Precision = "auto"
    activation_checkpointing: bool | None = None
    torch_compile: bool = False
    use_liger_kernel: bool | None = None
    logging_steps: int = Field(default=10, ge=1, json_schema_extra=_STEPS)
    eval_steps: int | None = Field(default=None, ge=1, json_schema_extra=_STEPS)
    early_stopping_patience: int | None = Field(default=None, ge=1, le=1000)
    early_stopping_threshold: float = Field(default=0.0, ge=0)
    keep_best: bool = False
    save_steps: int = Field(default=50, ge=1, json_schema_extra=_STEPS)
    seed: int = 42

    @model_validator(mode="before")
    @classmethod
    def _in_our_words(cls, given: Any) -> Any:
        return translate(given, cls.model_fields, cls.__name__) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _says_no_two_things(self) -> "TrainingConfig":
        if self.method == "full" and (idle := self._set(*_OF_ADAPTERS)):
            raise ValueError(
                f"{', '.join(idle)} belong to an adapter, and method 'full' trains none: use method 'lora'"
            )
        if self.objective == "sft" and self._set("dpo_beta"):
            raise ValueError("dpo_beta belongs to objective 'dpo'")
        if self.objective == "dpo" and self.method == "full":
            raise ValueError(
                "objective 'dpo' compares with the base model under the adapter: use method 'lora' or 'qlora'"
            )
        if self.objective == "dpo" and (idle := self._set("packing", "train_on_inputs")):
            raise ValueError(f"{', '.join(idle)} do not go with objective 'dpo'")
        if self.warmup_steps is not None and self._set("warmup_ratio"):
            raise ValueError("warmup_steps and warmup_ratio both say how long to warm up: give one of them")
        if self.early_stopping_patience is None and self._set("early_stopping_threshold"):
            raise ValueError("early_stopping_threshold needs early_stopping_patience")
        return self

    def _set(self, *names: str) -> list[str]:
        """Those that say something else than their default."""
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]


class TrainingEstimate(Message):
    """What was expected before the first step: bytes of memory on the device, and seconds, as the first steps ran."""

    memory_bytes: int
    available_bytes: int
    seconds: float | None = None


class LearningRateChange(Message):
    """What somebody set the peak learning rate to while the run went on: held from optimizer step `step` on."""

    step: int
    previous: float
    learning_rate: float
    by: str
    at: Timestamp


class TrainingOutput(Message):
    """`model_path` is the S3 prefix of the adapter (LoRA, QLoRA) or of the whole model (full); at `rows_path`
    are the rows that it learnt.

    Losses are nats a token; `eval_loss` is that of the weights that were kept, of step `best_step`. `stopped_early`
    says that the held-out loss had stopped falling. `config` is what was asked for, `learning_rate_changes` what people
    made of it on the way to these weights.
    """

    kind: Literal["TrainingAgent"] = "TrainingAgent"
    base_model: str
    method: TrainingMethod
    config: TrainingConfig
    model_path: str
    rows_path: str | None = None
    steps: int
    epochs: float
    first_loss: float
    final_loss: float
    tokens: int
    seconds: float
    resumed_from_step: int
    eval_loss: float | None = None
    best_step: int | None = None
    stopped_early: bool = False
    peak_memory_bytes: int | None = None
    estimate: TrainingEstimate | None = None
    learning_rate_changes: list[LearningRateChange] = []
