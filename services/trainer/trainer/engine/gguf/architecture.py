"""Which models can be written as GGUF, and what the file says about their shape."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, GGUFWriter, RopeScalingType

from contracts.base import RefusalCode, Refused


@dataclass(frozen=True)
class Architecture:
    """How GGUF calls an architecture.

    `rotates_pairs`: llama.cpp rotates neighbours of a head, where the weights of transformers rotate its halves, so the
    rows of Q and K change places.
    """

    kind: MODEL_ARCH
    rotates_pairs: bool


_ARCHITECTURES = {
    "LlamaForCausalLM": Architecture(MODEL_ARCH.LLAMA, rotates_pairs=True),
    "MistralForCausalLM": Architecture(MODEL_ARCH.LLAMA, rotates_pairs=True),
    "Qwen2ForCausalLM": Architecture(MODEL_ARCH.QWEN2, rotates_pairs=False),
    "Qwen3ForCausalLM": Architecture(MODEL_ARCH.QWEN3, rotates_pairs=False),
}
_SCALINGS = ("default", "linear", "yarn", "llama3")


def architecture_of(config: Any) -> Architecture:
    """Raises `Refused(CONFIG_INVALID)` for a model that cannot be written as GGUF."""
    name = (config.architectures or ["unknown"])[0]
    found = _ARCHITECTURES.get(name)
    if found is None:
        raise cannot_write(f"its architecture is {name}; GGUF is written for {', '.join(_ARCHITECTURES)}")
    if (scaling := _rope(config)["rope_type"]) not in _SCALINGS:
        raise cannot_write(f"its rope scaling is {scaling!r}; GGUF is written for {', '.join(_SCALINGS)}")
    return found


def cannot_write(reason: str) -> Refused:
    return Refused(
        RefusalCode.CONFIG_INVALID,
        f"The model cannot be exported as GGUF: {reason}",
        {"errors": [{"field": "formats", "message": f"'gguf': {reason}"}]},
    )


def head_size(config: Any) -> int:
    """Numbers of one attention head."""
    size: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return size


def describe(config: Any, writer: GGUFWriter) -> None:
    """Writes the hyperparameters that llama.cpp needs to compute the model."""
    rope = _rope(config)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_size(config))
    writer.add_value_length(head_size(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_size(config))
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_vocab_size(config.vocab_size)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    elif rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(RopeScalingType.YARN)
        writer.add_rope_scaling_factor(float(rope["factor"]))
        writer.add_rope_scaling_orig_ctx_len(
            int(rope.get("original_max_position_embeddings") or config.max_position_embeddings)
        )


def rope_factors(config: Any) -> npt.NDArray[np.float32] | None:
    """By how much Llama 3 slows down each frequency of its rotary embedding; None for models that do not.

    Short wavelengths stay, long ones are slowed by `factor`, and those between change over smoothly.
    """
    rope = _rope(config)
    if rope["rope_type"] != "llama3":
        return None
    factor, low, high = (float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(rope["original_max_position_embeddings"])
    size = head_size(config)
    frequencies = float(rope["rope_theta"]) ** -(np.arange(0, size, 2, dtype=np.float64) / size)
    wavelengths = 2 * math.pi / frequencies
    share = np.clip((context / wavelengths - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1 - share) / factor + share)).astype(np.float32)


def _rope(config: Any) -> dict[str, Any]:
    rope: dict[str, Any] = config.rope_parameters
    return rope
