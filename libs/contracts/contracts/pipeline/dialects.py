"""What the fields of a training run are called elsewhere: a configuration brought along means here what it meant there.

Sources: PEFT 0.21 `LoraConfig`; TRL 1.16 `SFTConfig` and `DPOConfig` over transformers' `TrainingArguments`;
LLaMA-Factory's `ModelArguments`, `DataArguments` and `FinetuningArguments`; Axolotl's configuration reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

_TRL, _FACTORY, _AXOLOTL = "TRL", "LLaMA-Factory", "Axolotl"


def _same(value: Any) -> Any:
    return value


def _opposite(value: Any) -> Any:
    return not value if isinstance(value, bool) else value


def _modules(value: Any) -> Any:
    """LLaMA-Factory writes module names with commas between them, and `all`."""
    if value is True or value in ("all", "all-linear"):
        return "all-linear"
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _method(value: Any) -> Any:
    return "full" if value in (None, "", "none", "full") else value


def _quantised(value: Any) -> Any:
    if value in (4, True):
        return "qlora"
    raise ValueError("only 4 bits are there: method 'qlora'")


def _schedule(value: Any) -> Any:
    return {"constant_with_warmup": "constant", "cosine_with_min_lr": "cosine"}.get(value, value)


def _optimizer(value: Any) -> Any:
    return "adamw" if value in ("adamw_torch", "adamw_torch_fused", "adamw_hf") else value


def _bfloat16(value: Any) -> Any:
    return {"auto": "auto", True: "bfloat16", False: "float32"}.get(value, value)


def _float16(value: Any) -> Any:
    if value:
        raise ValueError(
            "float16 overflows in training and is not offered: leave precision at 'auto', or ask for 'bfloat16'"
        )
    return None


def _not_quantised(value: Any) -> Any:
    return _quantised(value) if value else None


@dataclass(frozen=True)
class Word:
    """A field's other name: ours, where it comes from, and what its values become (None: it says nothing)."""

    field: str
    source: str
    translate: Callable[[Any], Any] = _same


WORDS: Mapping[str, Word] = {
    # PEFT
    "r": Word("lora_r", "PEFT"),
    # transformers and TRL
    "model_name_or_path": Word("base_model", _TRL),
    "per_device_train_batch_size": Word("batch_size", _TRL),
    "num_train_epochs": Word("epochs", _TRL),
    "max_length": Word("max_seq_length", _TRL),
    "optim": Word("optimizer", _TRL, _optimizer),
    "bf16": Word("precision", _TRL, _bfloat16),
    "fp16": Word("precision", _TRL, _float16),
    "gradient_checkpointing": Word("activation_checkpointing", _TRL),
    "completion_only_loss": Word("train_on_inputs", _TRL, _opposite),
    "load_best_model_at_end": Word("keep_best", _TRL),
    "beta": Word("dpo_beta", _TRL),
    # LLaMA-Factory
    "finetuning_type": Word("method", _FACTORY, _method),
    "stage": Word("objective", _FACTORY),
    "lora_rank": Word("lora_r", _FACTORY),
    "lora_target": Word("target_modules", _FACTORY, _modules),
    "quantization_bit": Word("method", _FACTORY, _quantised),
    "cutoff_len": Word("max_seq_length", _FACTORY),
    "train_on_prompt": Word("train_on_inputs", _FACTORY),
    "disable_gradient_checkpointing": Word("activation_checkpointing", _FACTORY, _opposite),
    "enable_liger_kernel": Word("use_liger_kernel", _FACTORY),
    "pref_beta": Word("dpo_beta", _FACTORY),
    # Axolotl
    "adapter": Word("method", _AXOLOTL, _method),
    "rl": Word("objective", _AXOLOTL),
    "micro_batch_size": Word("batch_size", _AXOLOTL),
    "num_epochs": Word("epochs", _AXOLOTL),
    "sequence_len": Word("max_seq_length", _AXOLOTL),
    "sample_packing": Word("packing", _AXOLOTL),
    "lora_target_modules": Word("target_modules", _AXOLOTL, _modules),
    "lora_target_linear": Word("target_modules", _AXOLOTL, _modules),
    "load_in_4bit": Word("method", _AXOLOTL, _not_quantised),
    "lr_scheduler": Word("lr_scheduler_type", _AXOLOTL, _schedule),
    "rl_beta": Word("dpo_beta", _AXOLOTL),
}
"""The names beside our own. Those that all agree on, such as `learning_rate`, need no row."""

_OWN_WORDS: Mapping[str, Callable[[Any], Any]] = {
    "target_modules": _modules,
    "lr_scheduler_type": _schedule,
    "optimizer": _optimizer,
}
"""Our own fields whose values others write differently."""


def translate(given: Mapping[str, Any], fields: Mapping[str, Any], title: str) -> dict[str, Any]:
    """The same configuration in our own `fields`' names.

    Raises ValidationError, an error a field, for a name that nobody knows, with the likeliest one that is meant, for a
    value that cannot be had, and for two names of one field that say different things.
    """
    own: dict[str, Any] = {}
    said_as: dict[str, str] = {}
    errors: list[InitErrorDetails] = []
    for name, value in _fraction_first(given).items():
        word = WORDS.get(name)
        field = word.field if word else name
        if field not in fields:
            errors.append(_error(name, value, _unknown(name, fields)))
            continue
        try:
            meant = word.translate(value) if word else _OWN_WORDS.get(name, _same)(value)
        except (TypeError, ValueError) as error:
            errors.append(_error(name, value, str(error)))
            continue
        if meant is None and word is not None:
            continue
        if field in own and (clash := _settle(field, own[field], meant)) is None:
            message = f"{said_as[field]!r} and {name!r} both set {field}, to different values: give one of them"
            errors.append(_error(name, value, message))
            continue
        own[field], said_as[field] = (clash if field in own else meant), name
    if errors:
        raise ValidationError.from_exception_data(title, errors)
    return own


def _settle(field: str, one: Any, other: Any) -> Any:
    """What two names of a field say together; None when they contradict each other."""
    if field == "method" and {one, other} == {"lora", "qlora"}:
        return "qlora"  # Others say LoRA, and apart from it that the base has four bits.
    return one if one == other else None


def _fraction_first(given: Mapping[str, Any]) -> dict[str, Any]:
    """transformers takes `warmup_steps` below 1 as a share of all steps."""
    steps = given.get("warmup_steps")
    if isinstance(steps, float) and 0 < steps < 1 and "warmup_ratio" not in given:
        return {"warmup_ratio" if name == "warmup_steps" else name: value for name, value in given.items()}
    return dict(given)


def _unknown(name: str, fields: Mapping[str, Any]) -> str:
    likely = get_close_matches(name, [*fields, *WORDS], n=1, cutoff=0.6)
    if not likely:
        return "there is no such field"
    meant = WORDS[likely[0]].field if likely[0] in WORDS else likely[0]
    return f"there is no such field; did you mean {likely[0]!r}" + (f" ({meant} here)?" if meant != likely[0] else "?")


def _error(name: str, value: Any, message: str) -> InitErrorDetails:
    # The text goes in as a value: it may hold braces of its own.
    return InitErrorDetails(
        type=PydanticCustomError("training_field", "{reason}", {"reason": message}), loc=(name,), input=value
    )
