"""Writes a model as GGUF, one tensor at a time: memory holds the largest as it is written, and never the model."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gguf import (
    GGML_QUANT_SIZES,
    GGML_QUANT_VERSION,
    MODEL_ARCH_NAMES,
    GGMLQuantizationType,
    GGUFWriter,
    get_tensor_name_map,
)
from gguf.quants import dequantize
from safetensors import safe_open

from contracts.pipeline import GgufType
from trainer.engine.gguf.architecture import (
    Architecture,
    architecture_of,
    cannot_write,
    describe,
    head_size,
    rope_factors,
)
from trainer.engine.gguf.k_quants import quantize
from trainer.engine.gguf.types import FILE_TYPES, kept_as
from trainer.engine.gguf.vocabulary import read_vocabulary

Array = npt.NDArray[Any]

_ROPE_FACTORS = "rope_freqs.weight"
_PIECE = 1 << 24
"""Numbers of a tensor that are converted at once."""


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor is, what it becomes, and how many attention heads its rows are (0: they keep their order)."""

    file: Path
    source: str
    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    heads: int


def check_writable(config: Any, tokenizer: Any) -> None:
    """Raises `Refused(CONFIG_INVALID)` for a model that GGUF is not written of, before any work is done."""
    architecture_of(config)
    read_vocabulary(tokenizer, config.vocab_size)


def write_gguf(model_dir: Path, tokenizer: Any, config: Any, out: Path, type_: GgufType, *, name: str) -> None:
    """Writes the model whose safetensors are in `model_dir` to `out`.

    Raises `Refused(CONFIG_INVALID)` for an architecture, tokenizer or weights that GGUF has no place for.
    """
    architecture = architecture_of(config)
    vocabulary = read_vocabulary(tokenizer, config.vocab_size)
    tensors = _plan(model_dir, config, architecture, type_)
    factors = rope_factors(config)
    writer = GGUFWriter(out, MODEL_ARCH_NAMES[architecture.kind])
    try:
        writer.add_type("model")
        writer.add_name(name)
        writer.add_file_type(FILE_TYPES[type_])
        writer.add_quantization_version(GGML_QUANT_VERSION)
        describe(config, writer)
        vocabulary.write(writer)
        if factors is not None:
            writer.add_tensor_info(_ROPE_FACTORS, factors.shape, factors.dtype, factors.nbytes)
        for tensor in tensors:
            writer.add_tensor_info(
                tensor.name, tensor.shape, np.dtype(np.float32), _bytes(tensor), raw_dtype=tensor.type
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if factors is not None:
            writer.write_tensor_data(factors)
        for data in _data(tensors):
            writer.write_tensor_data(data)
    finally:
        writer.close()


def rounded(model: Any, type_: GgufType) -> None:
    """Rounds the weights of a loaded model, in place, to what GGUF of that type keeps of them."""
    config = model.config
    with torch.no_grad():
        for name, weight in model.named_parameters():
            kept = kept_as(
                name,
                tuple(weight.shape),
                type_,
                layers=config.num_hidden_layers,
                tied=config.tie_word_embeddings,
            )
            if kept is not GGMLQuantizationType.F32:
                data = weight.detach().float().cpu().numpy()
                weight.copy_(torch.from_numpy(dequantize(quantize(data, kept), kept)))


def _plan(model_dir: Path, config: Any, architecture: Architecture, type_: GgufType) -> list[_Tensor]:
    """Every tensor of the model's files in their order, and what becomes of it."""
    names = get_tensor_name_map(architecture.kind, config.num_hidden_layers)
    plan: list[_Tensor] = []
    for file in sorted(model_dir.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for source in weights.keys():  # noqa: SIM118 - it is no mapping
                if source.endswith("rotary_emb.inv_freq") or (
                    source == "lm_head.weight" and config.tie_word_embeddings
                ):
                    continue
                name = names.get_name(source, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise cannot_write(f"GGUF has no place for its weights {source}")
                shape = tuple(weights.get_slice(source).get_shape())
                plan.append(
                    _Tensor(
                        file=file,
                        source=source,
                        name=name,
                        shape=shape,
                        type=kept_as(
                            source, shape, type_, layers=config.num_hidden_layers, tied=config.tie_word_embeddings
                        ),
                        heads=_heads(source, config) if architecture.rotates_pairs else 0,
                    )
                )
    for tensor in plan:
        if tensor.heads and tensor.shape[0] != tensor.heads * head_size(config):
            raise cannot_write(f"{tensor.source} is of {tensor.shape[0]} rows instead of {tensor.heads} heads")
    return plan


def _heads(source: str, config: Any) -> int:
    """Of the projections whose rows are rotated."""
    heads: dict[str, int] = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    return heads.get(source.rsplit(".", 2)[-2], 0)


def _bytes(tensor: _Tensor) -> int:
    block, size = (int(number) for number in GGML_QUANT_SIZES[tensor.type])
    return math.prod(tensor.shape) // block * size


def _data(tensors: list[_Tensor]) -> Iterator[Array]:
    """Each tensor as it is written, read only when its turn comes."""
    with ExitStack() as stack:
        opened: dict[Path, Any] = {}
        for tensor in tensors:
            if tensor.file not in opened:
                opened[tensor.file] = stack.enter_context(safe_open(tensor.file, framework="pt"))
            weights = opened[tensor.file].get_slice(tensor.source)
            if tensor.heads:
                yield quantize(_in_pairs(weights[:].float().numpy(), tensor.heads), tensor.type)
            else:
                # Rows are rounded by themselves, so an embedding need not be there in 32 bits as a whole.
                rows = max(1, _PIECE // math.prod(tensor.shape[1:]))
                starts = range(0, tensor.shape[0], rows)
                yield np.concatenate([quantize(weights[at : at + rows].float().numpy(), tensor.type) for at in starts])


def _in_pairs(data: Array, heads: int) -> Array:
    """The rows of each head, first half and second half, one after the other: 0, n/2, 1, n/2 + 1, ..."""
    halves = data.reshape(heads, 2, data.shape[0] // heads // 2, *data.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(data.shape))
