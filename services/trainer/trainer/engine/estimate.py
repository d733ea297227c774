"""What a run will need, said before it starts: memory, and time."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from contracts.pipeline import TrainingConfig, TrainingEstimate
from trainer.engine.machine import Machine

_EFFICIENCY = 0.35
"""Of the rate of a single large matrix product, what training steps reach, the operators between them included."""
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


def estimate(model: Any, config: TrainingConfig, activations: int, machine: Machine, tokens: int) -> TrainingEstimate:
    """For a run of the loaded `model` over `tokens` in all, without padding.

    Its memory is what the process holds already and what comes on top; its time assumes a machine that does nothing
    else.
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    # A gradient and two moments; in bfloat16 also a copy of what is stored in float32.
    learning = sum(weight.numel() for weight in trained) * (12 + (2 if machine.half else 0))
    multiplied = sum(_weights(part) for part in model.modules() if isinstance(part, nn.Linear))
    passes = 6 if config.method == "full" else 4
    return TrainingEstimate(
        memory_bytes=machine.memory_used() + learning + activations + _LOGITS_HELD,
        available_bytes=machine.memory(),
        seconds=tokens * passes * multiplied / (_EFFICIENCY * machine.matrix_rate()),
    )


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
