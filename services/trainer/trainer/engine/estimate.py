"""What a run will need, said before it starts: memory, and time."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from contracts.pipeline import TrainingConfig, TrainingEstimate
from trainer.domain.batches import RunPlan
from trainer.engine.machine import Machine

_PRODUCTS = {("cpu", "float32"): 0.8, ("cpu", "bfloat16"): 0.4, ("cuda", "float32"): 0.7, ("cuda", "bfloat16"): 0.7}
"""Of the rate of a single large matrix product, what those of a layer reach. Those of GPUs are not measured yet."""
_PASSES = 24
"""How often the bytes that a layer's activations take are read and written in a step by all that is no product."""
_LAYER_SECONDS = {"cpu": 1.5e-3, "cuda": 0.5e-3}
"""What a layer takes for a micro-batch, however small: its operations must be begun, one by one."""
_LOGITS_HELD = 3 * 4 * (1 << 22)


@dataclass(frozen=True)
class Activations:
    """Bytes that a step's activations take: kept whole, or computed twice, when only each layer's input is kept."""

    kept: int
    computed_twice: int


def estimate_activations(architecture: Any, tokens: int, machine: Machine) -> Activations:
    """For `tokens` at once: the inputs of norms, projections and attention, and what the gated MLP keeps."""
    hidden, layers = architecture.hidden_size, architecture.num_hidden_layers
    inner = getattr(architecture, "intermediate_size", None) or 4 * hidden
    size = 2 if machine.half else 4
    layer = tokens * (12 * hidden + 5 * inner) * size
    return Activations(layers * layer, layer + layers * tokens * hidden * size)


def estimate(
    model: Any, architecture: Any, config: TrainingConfig, plan: RunPlan, machine: Machine, *, computed_twice: bool
) -> TrainingEstimate:
    """For a run of the loaded `model`.

    Its memory is what the process holds already and what comes on top; its time assumes a machine that does nothing
    else.
    """
    activations = estimate_activations(architecture, plan.widest, machine)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    # A gradient and two moments; in bfloat16 also a copy of what is stored in float32.
    learning = sum(weight.numel() for weight in trained) * (12 + (2 if machine.half else 0))
    step = activations.computed_twice if computed_twice else activations.kept
    return TrainingEstimate(
        memory_bytes=machine.memory_used() + learning + step + _LOGITS_HELD,
        available_bytes=machine.memory(),
        seconds=_seconds(model, architecture, config, plan, machine, computed_twice=computed_twice),
    )


def _seconds(
    model: Any, architecture: Any, config: TrainingConfig, plan: RunPlan, machine: Machine, *, computed_twice: bool
) -> float:
    """Products, passes over memory between them, and beginning all of these."""
    epochs = plan.total / plan.per_epoch
    multiplied = sum(_weights(part) for part in model.modules() if isinstance(part, nn.Linear))
    # The model itself, what DPO compares with, and what is computed again; backward to the inputs, and to the weights.
    forward = 1 + (config.objective == "dpo") + computed_twice
    backward = 2 if config.method == "full" else 1
    reached = _PRODUCTS[machine.device.type, machine.precision] * machine.matrix_rate()
    products = 2 * (forward + backward) * multiplied / reached
    passes = _PASSES * estimate_activations(architecture, 1, machine).kept / machine.pass_rate()
    beginning = _LAYER_SECONDS[machine.device.type] * architecture.num_hidden_layers
    more = (forward + 2) / 3
    seconds: float = plan.tokens * (products + passes * more) + plan.micro_batches * beginning * more
    return epochs * seconds


def count_weights(model: Any) -> int:
    """All that a model has, trained or not."""
    linear = [part for part in model.modules() if isinstance(part, nn.Linear)]
    packed = sum(_weights(part) - part.weight.numel() for part in linear)
    total: int = packed + sum(weight.numel() for weight in model.parameters())
    return total


def _weights(linear: nn.Linear) -> int:
    """Counted by what it maps: weights of four bits are stored two to an element."""
    weights: int = linear.in_features * linear.out_features
    return weights
