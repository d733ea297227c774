"""K-quants: blocks of 256 numbers, cut into groups with a scale each, which are kept in 6 or 8 bits themselves.

The `gguf` package reads these types and does not write them. Scales are searched for as llama.cpp's reference does
(`quantize_row_q4_K_ref` and its neighbours in `ggml-quants.c`), for all blocks at once: several are tried, the best
levels are fitted to each by least squares, and the one with the smallest weighted error is taken.
"""

from collections.abc import Callable
from typing import Any

import gguf.quants
import numpy as np
import numpy.typing as npt
import torch
from gguf import GGMLQuantizationType
from torch import Tensor

Array = npt.NDArray[Any]

_BLOCK = 256
_AT_ONCE = 1024
"""Blocks that are worked on together: they and what is made of them fit into the caches of a processor."""


def quantize(data: Array, type_: GGMLQuantizationType) -> Array:
    """Rows of 32-bit numbers as a GGUF file keeps them in that type. A row is a whole number of the type's blocks."""
    pack = _PACKERS.get(type_)
    if pack is None:
        return np.asarray(gguf.quants.quantize(data, type_))
    blocks = torch.from_numpy(np.ascontiguousarray(data, dtype=np.float32)).reshape(-1, _BLOCK)
    packed = torch.cat([pack(part) for part in blocks.split(_AT_ONCE)])
    return np.asarray(packed.reshape(*data.shape[:-1], -1))


def _pack_q4(blocks: Tensor) -> Tensor:
    """d, dmin, 8 scales and minima of 6 bits, levels of 4 bits."""
    head, levels = _affine(blocks, 15, first=-1.0, tries=21)
    return torch.cat([head, _nibbles(levels)], dim=1)


def _pack_q5(blocks: Tensor) -> Tensor:
    """As four bits, with the fifth bits before them: bit `i` of byte `k` is that of number `k` of group `i`."""
    head, levels = _affine(blocks, 31, first=-0.5, tries=16)
    fifth = ((levels >> 4) << torch.arange(8, dtype=torch.uint8)[:, None]).sum(1, dtype=torch.uint8)
    return torch.cat([head, fifth, _nibbles(levels & 15)], dim=1)


def _pack_q6(blocks: Tensor) -> Tensor:
    """Lower four bits of the levels, upper two, 16 scales of 8 bits, d."""
    groups = blocks.reshape(-1, 16, 16)
    scales = _symmetric_scales(groups)
    largest = scales.gather(1, scales.abs().argmax(1, keepdim=True))
    d = _half(torch.where(largest.abs() < _NOTHING, 0, largest / -128))
    coarse = torch.where(d == 0, 0, (-128 * scales / _unless_zero(largest)).round()).clamp(-128, 127)
    step = (d * coarse)[..., None]
    levels = torch.where(step == 0, 0, groups / _unless_zero(step)).round().clamp(-32, 31) + 32
    # Two halves of 128 numbers; in each, four quarters of 32.
    halves = levels.to(torch.uint8).reshape(-1, 2, 4, 32)
    low = (halves[:, :, :2] & 15) | ((halves[:, :, 2:] & 15) << 4)
    shifts = torch.arange(0, 8, 2, dtype=torch.uint8)[:, None]
    high = ((halves >> 4) << shifts).sum(2, dtype=torch.uint8)
    parts = [low.flatten(1), high.flatten(1), coarse.to(torch.int8).view(torch.uint8), _bytes(d)]
    return torch.cat(parts, dim=1)


_PACKERS: dict[GGMLQuantizationType, Callable[[Tensor], Tensor]] = {
    GGMLQuantizationType.Q4_K: _pack_q4,
    GGMLQuantizationType.Q5_K: _pack_q5,
    GGMLQuantizationType.Q6_K: _pack_q6,
}
_NOTHING = 1e-15
"""Scales below this are none."""


def _affine(blocks: Tensor, top: int, *, first: float, tries: int) -> tuple[Tensor, Tensor]:
    """What is said of blocks whose numbers are `scale * level - minimum`, in bytes, and their levels `[n, 8, 32]`."""
    groups = blocks.reshape(-1, 8, 32)
    scales, minima = _affine_scales(groups, top, first, tries)
    d, coarse_scales = _six_bits(scales)
    dmin, coarse_minima = _six_bits(minima)
    step, least = (d * coarse_scales)[..., None], (dmin * coarse_minima)[..., None]
    levels = torch.where(step == 0, 0, (groups + least) / _unless_zero(step)).round().clamp(0, top)
    s, m = coarse_scales.to(torch.uint8), coarse_minima.to(torch.uint8)
    # Six bits each: the upper two of the last four are above those of the first four.
    packed = [
        s[:, :4] | ((s[:, 4:] >> 4) << 6),
        m[:, :4] | ((m[:, 4:] >> 4) << 6),
        (s[:, 4:] & 15) | ((m[:, 4:] & 15) << 4),
    ]
    return torch.cat([_bytes(d), _bytes(dmin), *packed], dim=1), levels.to(torch.uint8)


def _affine_scales(groups: Tensor, top: int, first: float, tries: int) -> tuple[Tensor, Tensor]:
    """The scale and the minimum, which is not negative, of each group: levels are 0 to `top`.

    Large numbers weigh more. `first` says by how many levels the first try stretches the range.
    """
    weights = groups.square().mean(-1, keepdim=True).sqrt() + groups.abs()
    low = groups.amin(-1, keepdim=True).clamp(max=0)
    span = groups.amax(-1, keepdim=True) - low
    weighted = weights * groups
    w, x = weights.sum(-1, keepdim=True), weighted.sum(-1, keepdim=True)
    inverse = top / _unless_zero(span)
    best_scale, best_low = span / top, low
    levels = ((groups - low) * inverse).round().clamp_(0, top)
    best_error = _error(groups, weights, levels, best_scale, best_low)
    for number in range(tries):
        inverse = (first + 0.1 * number + top) / _unless_zero(span)
        levels = ((groups - low) * inverse).round_().clamp_(0, top)
        heavy = weights * levels
        l1, l2 = heavy.sum(-1, keepdim=True), (heavy * levels).sum(-1, keepdim=True)
        lx = (weighted * levels).sum(-1, keepdim=True)
        determinant = w * l2 - l1 * l1
        scale = (w * lx - x * l1) / _unless_zero(determinant)
        least = (l2 * x - l1 * lx) / _unless_zero(determinant)
        above = least > 0
        scale = torch.where(above, lx / _unless_zero(l2), scale)
        least = torch.where(above, 0, least)
        error = _error(groups, weights, levels, scale, least)
        better = (determinant > 0) & (error < best_error)
        best_error = torch.where(better, error, best_error)
        best_scale, best_low = torch.where(better, scale, best_scale), torch.where(better, least, best_low)
    return best_scale.squeeze(-1), -best_low.squeeze(-1)


def _error(groups: Tensor, weights: Tensor, levels: Tensor, scale: Tensor, least: Tensor) -> Tensor:
    apart = levels.mul(scale).add_(least).sub_(groups)
    return apart.square_().mul_(weights).sum(-1, keepdim=True)


def _symmetric_scales(groups: Tensor) -> Tensor:
    """The scale of each group, whose levels are -32 to 31; the largest number, by its size, becomes -32."""
    largest = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))
    weights = groups.square()
    best_scale = best = torch.zeros_like(largest)
    # The unstretched one first, which the others must beat.
    for number in (0, *range(-9, 0), *range(1, 10)):
        levels = (groups * (-(32 + 0.1 * number) / _unless_zero(largest))).round_().clamp_(-32, 31)
        heavy = weights * levels
        lx, l2 = (heavy * groups).sum(-1, keepdim=True), (heavy * levels).sum(-1, keepdim=True)
        better = (l2 > 0) & (lx * lx > best * l2)
        scale = lx / _unless_zero(l2)
        best_scale, best = torch.where(better, scale, best_scale), torch.where(better, scale * lx, best)
    return torch.where(largest.abs() < _NOTHING, 0, best_scale).squeeze(-1)


def _six_bits(values: Tensor) -> tuple[Tensor, Tensor]:
    """A block's factor, as it is kept in 16 bits, and the values `[n, 8]` as multiples of it, 0 to 63."""
    largest = values.amax(1, keepdim=True).clamp(min=0)
    coarse = (values * (63 / _unless_zero(largest))).round().clamp(0, 63)
    return _half(largest / 63), torch.where(largest > 0, coarse, 0)


def _unless_zero(values: Tensor) -> Tensor:
    """To divide by where the result is taken only if it is not zero."""
    return torch.where(values == 0, 1, values)


def _half(values: Tensor) -> Tensor:
    return values.half().float()


def _bytes(values: Tensor) -> Tensor:
    return values.half().view(torch.uint8)


def _nibbles(levels: Tensor) -> Tensor:
    """Groups two by two: of each pair the first in the lower four bits, the second in the upper."""
    pairs = levels.reshape(-1, 4, 2, 32)
    return (pairs[:, :, 0] | (pairs[:, :, 1] << 4)).flatten(1)
