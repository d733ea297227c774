"""Reads a GGUF file back with transformers, whose reader and name map are none of ours."""

from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from transformers import AutoConfig, AutoModelForCausalLM

_ROPE_FACTORS = "rope_freqs.weight"
_SCALING = {"linear": ("factor",), "yarn": ("factor", "original_max_position_embeddings")}
_FIELD = {"factor": "rope.scaling.factor", "original_max_position_embeddings": "rope.scaling.original_context_length"}


def read_back(file: Path, dtype: torch.dtype) -> Any:
    """The model in the file: all that it is comes from the file alone."""
    reader = GGUFReader(file)
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    _complete(config, reader)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, config=config, dtype=dtype, attn_implementation="sdpa"
    )
    factors = next((tensor for tensor in reader.tensors if tensor.name == _ROPE_FACTORS), None)
    if factors is not None:
        model.model.rotary_emb.inv_freq /= torch.from_numpy(factors.data.copy()).to(model.device)
    return model


def _complete(config: Any, reader: GGUFReader) -> None:
    """What transformers' reader leaves at its defaults: the size of heads, biases and the scaling of positions."""
    architecture = _value(reader, "general.architecture")
    config.head_dim = _value(reader, f"{architecture}.attention.key_length")
    config.attention_bias = any(tensor.name == "blk.0.attn_output.bias" for tensor in reader.tensors)
    config.mlp_bias = any(tensor.name == "blk.0.ffn_down.bias" for tensor in reader.tensors)
    rope: dict[str, Any] = {
        "rope_type": _value(reader, f"{architecture}.rope.scaling.type") or "default",
        "rope_theta": _value(reader, f"{architecture}.rope.freq_base"),
    }
    rope |= {key: _value(reader, f"{architecture}.{_FIELD[key]}") for key in _SCALING.get(rope["rope_type"], ())}
    config.rope_parameters = rope


def _value(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()
