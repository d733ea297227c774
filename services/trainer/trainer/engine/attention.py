"""Attention over rows that lie end to end in one sequence, each of which sees itself alone.

Rows of different lengths so go through the model without padding. transformers isolates packed rows by their position
ids too, but on the CPU by a mask of the whole sequence squared, and only without a cache and without a mask of ours.
Here rows are apart by construction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ROWS = "platform_rows"
"""The name under which transformers knows this attention."""

_QUERIES = 512
"""Query positions whose scores are recomputed at once in the backward pass: their memory does not grow squared."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Where rows lie that are end to end: their lengths, the running sums of these from 0, and each token's place in
    its row, `[1, tokens]`."""

    lengths: tuple[int, ...]
    starts: Tensor
    places: Tensor

    @classmethod
    def of(cls, lengths: tuple[int, ...], device: torch.device) -> "Rows":
        starts = torch.tensor(list(accumulate(lengths, initial=0)), dtype=torch.int32)
        places = torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0)
        return cls(lengths, starts.to(device), places.to(device))


# A compiled layer would otherwise be compiled again for rows of other lengths.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def attend_to_rows(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    rows: Rows | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """`query [1, heads, tokens, size]`, `key` and `value [1, key heads, tokens, size]` → `[1, tokens, heads, size]`.

    Without `rows` this is the ordinary attention. Raises ValueError for what an architecture asks beyond causal
    attention with a window.
    """
    if rows is None:
        whole: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **options
        )
        return whole
    if dropout or attention_mask is not None or any(options.get(extra) is not None for extra in ("softcap", "s_aux")):
        raise ValueError("rows end to end take plain causal attention only")
    # Where weights are stored in float32 and computed in bfloat16, rotations are the former: queries and keys too.
    query, key = query.to(value.dtype), key.to(value.dtype)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    longest = max(rows.lengths)
    window = sliding_window if sliding_window is not None and sliding_window < longest else None
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        return _on_gpu(query, key, value, rows.starts, longest, scale, window), None
    if query.is_cuda or window is not None:
        return _row_by_row(query, key, value, rows.lengths, scale, window), None
    attended: Tensor = _OnCpu.apply(query, key, value, rows.lengths, scale)
    return attended.transpose(1, 2), None


AttentionInterface.register(ROWS, attend_to_rows)


@contextmanager
def rows_apart(model: PreTrainedModel) -> Iterator[None]:
    """Gives the model this attention for the block, backward pass included, and leaves it as it was.

    Outside, a model generates with padding and a cache, which wants the masks that transformers makes for its own.
    """
    before = model.config._attn_implementation
    model.set_attn_implementation(ROWS)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _on_gpu(
    query: Tensor, key: Tensor, value: Tensor, starts: Tensor, longest: int, scale: float, window: int | None
) -> Tensor:
    """FlashAttention over all rows in one call, as PyTorch brings it."""
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - of use on a GPU alone

    attended = varlen_attn(
        *(states[0].transpose(0, 1).contiguous() for states in (query, key, value)),
        starts,
        starts,
        longest,
        longest,
        scale=scale,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=key.shape[1] != query.shape[1],
    )
    assert isinstance(attended, Tensor)  # noqa: S101 - nothing but the output was asked for
    return attended.unsqueeze(0)


def _row_by_row(
    query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], scale: float, window: int | None
) -> Tensor:
    """PyTorch's attention, a call a row; a mask of its own keeps a row to its window."""
    rows = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    attended = [
        scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if window is None else _window(q.shape[2], window, q.device),
            is_causal=window is None,
            scale=scale,
            enable_gqa=True,
        )
        for q, k, v in rows
    ]
    return torch.cat(attended, 2).transpose(1, 2)


def _window(length: int, window: int, device: torch.device) -> Tensor:
    behind = torch.arange(length, device=device)
    distance = behind[:, None] - behind[None, :]
    return (distance >= 0) & (distance < window)


class _OnCpu(torch.autograd.Function):  # type: ignore[misc]
    """PyTorch's forward pass, and a backward pass of matrix products, twice as fast as its own on CPUs with AMX.

    As FlashAttention (Dao et al. 2022, section 3.1): the probabilities are recomputed from the stored row sums.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], scale: float
    ) -> Tensor:
        group = query.shape[1] // key.shape[1]
        outputs, sums = [], []
        for q, k, v in zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True):
            output, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), 0.0, True, scale=scale
            )
            outputs.append(output)
            sums.append(log_sum)
        attended = torch.cat(outputs, 2)
        ctx.save_for_backward(query, key, value, attended, torch.cat(sums, -1))
        ctx.lengths, ctx.scale = lengths, scale
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, attended, log_sums = (states[0] for states in ctx.saved_tensors)
        heads, _, size = query.shape
        shared = key.shape[0]
        grouped = (shared, heads // shared, -1, size)
        by_query, by_key, by_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        deltas = (gradient[0].float() * attended.float()).sum(-1)
        start = 0
        for length in ctx.lengths:
            for first in range(0, length, _QUERIES):
                here = slice(start + first, start + min(first + _QUERIES, length))
                seen = slice(start, here.stop)
                q, towards = query[:, here].reshape(grouped), gradient[0][:, here].reshape(grouped)
                weights, by_score = _recompute(
                    q, key[:, seen], value[:, seen], towards, log_sums[:, here], deltas[:, here], ctx.scale
                )
                q, towards = q.flatten(1, 2), towards.flatten(1, 2)
                by_value[:, seen] += torch.bmm(weights.transpose(1, 2), towards)
                by_query[:, here] = torch.bmm(by_score, key[:, seen]).view(heads, -1, size).mul_(ctx.scale)
                by_key[:, seen] += torch.bmm(by_score.transpose(1, 2), q).mul_(ctx.scale)
            start += length
        return by_query[None], by_key[None], by_value[None], None, None


def _recompute(
    query: Tensor, key: Tensor, value: Tensor, towards: Tensor, log_sums: Tensor, deltas: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """What each position attended to, and how the loss depends on its scores: `[key heads, group * queries, keys]`.

    The queries are the last of the positions that the keys cover.
    """
    shared, group, queries, _ = query.shape
    keys = key.shape[1]
    form = (shared, group, queries, keys)
    scores = torch.bmm(query.flatten(1, 2), key.transpose(1, 2)).view(form)
    # Each of these is a pass over memory, and those passes are what this costs.
    weights = scores.float().mul_(scale).sub_(log_sums.view(shared, group, queries, 1)).exp_().tril_(keys - queries)
    by_weight = torch.bmm(towards.flatten(1, 2), value.transpose(1, 2)).view(form)
    by_score = by_weight.float().sub_(deltas.view(shared, group, queries, 1)).mul_(weights)
    flat = (shared, group * queries, keys)
    return weights.to(query.dtype).view(flat), by_score.to(query.dtype).view(flat)
