"""What each tensor of a file is kept as: llama.cpp's own choice, so that a file is what `llama-quantize` would make."""

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from contracts.pipeline import GgufType

_T = GGMLQuantizationType

FILE_TYPES: dict[GgufType, LlamaFileType] = {
    "F32": LlamaFileType.ALL_F32,
    "F16": LlamaFileType.MOSTLY_F16,
    "BF16": LlamaFileType.MOSTLY_BF16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q4_0": LlamaFileType.MOSTLY_Q4_0,
    "Q4_1": LlamaFileType.MOSTLY_Q4_1,
    "Q5_0": LlamaFileType.MOSTLY_Q5_0,
    "Q5_1": LlamaFileType.MOSTLY_Q5_1,
    "Q6_K": LlamaFileType.MOSTLY_Q6_K,
    "Q5_K_M": LlamaFileType.MOSTLY_Q5_K_M,
    "Q4_K_M": LlamaFileType.MOSTLY_Q4_K_M,
}
_WHOLE: tuple[GgufType, ...] = ("F32", "F16", "BF16", "Q8_0")
"""Those that keep every matrix alike."""
_MIXED: dict[GgufType, GGMLQuantizationType] = {"Q5_K_M": _T.Q5_K, "Q4_K_M": _T.Q4_K}
"""What those that keep some matrices finer keep the others as."""
_INSTEAD = {_T.Q4_K: _T.Q5_0, _T.Q5_K: _T.Q5_1, _T.Q6_K: _T.Q8_0}
"""For rows that are no whole blocks of 256."""


def kept_as(source: str, shape: tuple[int, ...], asked: GgufType, *, layers: int, tied: bool) -> GGMLQuantizationType:
    """The type of the tensor that transformers calls `source`, in a file of the asked type.

    Vectors and norms are kept exactly; the head, which decides every token, and some matrices of the mixed types finer
    than others. Rows that are no whole blocks of a type are kept in the next finer one that they fit.
    """
    if len(shape) == 1 or "norm" in source:
        return _T.F32
    wanted = _wanted(source, asked, layers, tied=tied)
    if not _fits(wanted, shape):
        wanted = _INSTEAD.get(wanted, wanted)
    return wanted if _fits(wanted, shape) else _T.F16


def _wanted(source: str, asked: GgufType, layers: int, *, tied: bool) -> GGMLQuantizationType:
    if asked in _WHOLE:
        return _T[asked]
    if "lm_head" in source or (tied and "embed_tokens" in source):
        return _T.Q6_K
    if asked not in _MIXED:
        return _T[asked]
    finer = any(part in source for part in (".v_proj.", ".down_proj.")) and _is_delicate(_layer(source), layers)
    return _T.Q6_K if finer else _MIXED[asked]


def _is_delicate(layer: int, layers: int) -> bool:
    """The first eighth, the last, and each third one between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _layer(source: str) -> int:
    return int(source.partition(".layers.")[2].partition(".")[0])


def _fits(type_: GGMLQuantizationType, shape: tuple[int, ...]) -> bool:
    block = int(GGML_QUANT_SIZES[type_][0])
    return shape[-1] % block == 0
