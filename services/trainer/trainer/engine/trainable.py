"""A base model made ready to learn: which of its weights are trained, in which precision, by which optimizer."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
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
            base = load_model(directory, machine.dtype).to(machine.device)
        case "qlora":
            # PEFT would store norms and head in float32: other arithmetic than that of `lora`, and a cast for each row.
            base = load_quantised_model(directory)
    return _with_adapter(base, config, machine)


def make_optimizer(weights: dict[str, nn.Parameter], config: TrainingConfig) -> Optimizer:
    """AdamW; norms and biases, which have one dimension, do not decay."""
    groups = [
        {"params": [w for w in weights.values() if w.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [w for w in weights.values() if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,
    )


def speed_up(model: Any, config: TrainingConfig, machine: Machine) -> list[str]:
    """Kernels and compilation where they are there and wanted; what was done, in words.

    Raises `Refused(CONFIG_INVALID)` for Liger kernels that are asked for and cannot be had.
    """
    causal = model.get_base_model() if hasattr(model, "peft_config") else model
    done = []
    if _takes_liger(causal, config, machine):
        apply_liger(causal)
        done.append("Liger kernels")
    if config.torch_compile:
        for layer in _layers(causal):
            layer.compile(dynamic=True)
        done.append("compiled layers")
    return done


def compute_twice(model: Any) -> None:
    """Has activations computed again in the backward pass, a fifth slower, instead of kept."""
    model.activation_checkpointing_enable({"use_reentrant": False})


def apply_liger(causal: Any) -> None:
    """Gives norms and gated layers of this model Liger's kernels, and leaves other models as they are.

    Liger replaces the architecture's classes too, for all models that the process loads later: those on a CPU cannot
    run its kernels. So these are put back, and its rotary embedding, which it replaces for all alone, is left out. The
    loss is ours: on the answers' tokens alone, some rows at a time.
    """
    architecture = vars(sys.modules[type(causal).__module__])
    before = dict(architecture)
    try:
        importlib.import_module("liger_kernel.transformers")._apply_liger_kernel_to_instance(
            model=causal, rope=False, cross_entropy=False, fused_linear_cross_entropy=False
        )
    finally:
        architecture.update(before)


def _takes_liger(causal: Any, config: TrainingConfig, machine: Machine) -> bool:
    there = (
        machine.device.type == "cuda"
        and importlib.util.find_spec("liger_kernel") is not None
        and causal.config.model_type
        in importlib.import_module("liger_kernel.transformers.monkey_patch").MODEL_TYPE_TO_APPLY_LIGER_FN
    )
    if config.use_liger_kernel and not there:
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            "Liger's kernels need a CUDA GPU, the package liger-kernel and an architecture that it knows, which this"
            " trainer or model lacks; without use_liger_kernel it trains the same model",
            {"errors": [{"field": "use_liger_kernel", "message": "not available on this machine or for this model"}]},
        )
    return there if config.use_liger_kernel is None else config.use_liger_kernel


def _layers(causal: Any) -> list[nn.Module]:
    """The decoder layers, which are alike: compiled one by one, the first compilation serves all."""
    return list(getattr(causal.base_model, "layers", []))


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
    fuse_adapters(model, machine.dtype)
    return model
