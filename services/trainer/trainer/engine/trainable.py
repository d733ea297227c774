"""A base model made ready to learn: which of its weights are trained, in which precision, by which optimizer."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from torch import nn
from torch.optim import AdamW, Optimizer

from contracts.base import RefusalCode, Refused
from contracts.pipeline import TrainingConfig
from trainer.engine.fused import fuse_adapters
from trainer.engine.machine import Machine
from trainer.engine.models import load_model, load_quantised_model


def make_trainable(directory: Path, config: TrainingConfig, machine: Machine) -> Any:
    """Loads the base model with float32 weights to train: new adapters on a frozen base, or all of its own.

    Raises `Refused(CONFIG_INVALID)` for a method that this machine lacks and for target modules that the model lacks.
    """
    torch.manual_seed(config.seed)
    match config.method:
        case "full":
            return load_model(directory, torch.float32).to(machine.device)
        case "lora":
            base = load_model(directory, torch.bfloat16 if machine.half else torch.float32).to(machine.device)
        case "qlora":
            base = prepare_model_for_kbit_training(load_quantised_model(directory), use_gradient_checkpointing=False)
    return _with_adapter(base, config, machine)


def make_optimizer(weights: dict[str, nn.Parameter], config: TrainingConfig) -> Optimizer:
    """AdamW; norms and biases, which have one dimension, do not decay."""
    groups = [
        {"params": [w for w in weights.values() if w.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [w for w in weights.values() if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=config.learning_rate, fused=True)


def spare_memory(model: Any, architecture: Any, tokens: int, machine: Machine) -> bool:
    """Has activations computed again in the backward pass, a fifth slower, if those of `tokens` might not fit."""
    hidden = architecture.hidden_size
    inner = getattr(architecture, "intermediate_size", None) or 4 * hidden
    # Per layer and token: the inputs of norms, projections and attention, and what the gated MLP keeps.
    needed = tokens * architecture.num_hidden_layers * (12 * hidden + 5 * inner) * (2 if machine.half else 4)
    if needed <= machine.activation_budget():
        return False
    model.activation_checkpointing_enable({"use_reentrant": False})
    return True


def _with_adapter(base: Any, config: TrainingConfig, machine: Machine) -> Any:
    adapter = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        model = get_peft_model(base, adapter)
    except ValueError as error:
        known = sorted({name.rsplit(".", 1)[-1] for name, part in base.named_modules() if isinstance(part, nn.Linear)})
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            f"The base model has no target modules {config.target_modules!r}; its linear layers are {', '.join(known)}",
            {"errors": [{"field": "target_modules", "message": f"one of {', '.join(known)}, or 'all-linear'"}]},
        ) from error
    fuse_adapters(model, torch.bfloat16 if machine.half else torch.float32)
    return model
