"""The same arithmetic in fewer passes over memory: on CPUs these cost as much as the matrix products between them.

Each function here keeps what its backward pass needs and no more, and is tested against PyTorch's own.
"""

from types import MethodType
from typing import Any

import torch
from peft.tuners import lora
from torch import Tensor, nn
from torch.nn.functional import linear


class TokenLoss(torch.autograd.Function):  # type: ignore[misc]
    """The summed cross-entropy of logits `[tokens, vocabulary]`, with its gradient at once: one softmax for both.

    `weights`, one a token, say how much each counts.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        scores = logits.float()
        sums = scores.logsumexp(-1, keepdim=True)
        wanted = targets.unsqueeze(-1)
        losses = sums - scores.gather(-1, wanted)
        if ctx.needs_input_grad[0]:
            gradient = scores.sub_(sums).exp_() if scores is not logits else (scores - sums).exp_()
            gradient.scatter_add_(-1, wanted, torch.full_like(sums, -1.0))
            if weights is not None:
                gradient.mul_(weights.unsqueeze(-1))
            ctx.save_for_backward(gradient.to(logits.dtype))
        return losses.sum() if weights is None else (losses.squeeze(-1) * weights).sum()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(scale), None, None


class _AdaptedProduct(torch.autograd.Function):  # type: ignore[misc]
    """`x W' + bias + scaling * (x A') B'` of a frozen W (Hu et al. 2021, section 4.1), all in the type of `x`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        flat = x.flatten(0, -2)
        down, up = a.to(x.dtype), (b * scaling).to(x.dtype)
        narrow = linear(flat, down)
        result = linear(flat, weight, bias)
        result.addmm_(narrow, up.t())
        ctx.save_for_backward(flat, weight, narrow, down, up)
        ctx.scaling, ctx.types = scaling, (a.dtype, b.dtype)
        return result.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, towards: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor, None]:
        flat, weight, narrow, down, up = ctx.saved_tensors
        gradient = towards.flatten(0, -2)
        by_narrow = gradient @ up
        by_a = (by_narrow.t() @ flat).to(ctx.types[0])
        by_b = (gradient.t() @ narrow).to(ctx.types[1]).mul_(ctx.scaling)
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = (gradient @ weight).addmm_(by_narrow, down).view(*towards.shape[:-1], -1)
        return by_x, None, None, by_a, by_b, None


def fuse_adapters(model: Any, dtype: torch.dtype) -> int:
    """Has the adapted linear layers of a PEFT model computed in one function; how many.

    Those with dropout, a variant such as DoRA or a quantised base stay as they are.
    """
    layers = [module for module in model.modules() if isinstance(module, lora.Linear) and _is_plain(module, dtype)]
    for layer in layers:
        layer.forward = MethodType(_adapted_forward, layer)
    return len(layers)


def _is_plain(layer: Any, dtype: torch.dtype) -> bool:
    base = layer.get_base_layer()
    return (
        type(base) is nn.Linear
        and base.weight.dtype == dtype
        and not base.weight.requires_grad
        and list(layer.lora_A) == ["default"]
        and isinstance(layer.lora_dropout["default"], nn.Identity)
        and not layer.lora_variant
        and not layer.lora_bias["default"]
    )


def _adapted_forward(self: Any, x: Tensor, *args: Any, **options: Any) -> Tensor:
    base = self.get_base_layer()
    if self.disable_adapters or self.merged:
        return type(self).forward(self, x, *args, **options)
    result: Tensor = _AdaptedProduct.apply(
        x.to(base.weight.dtype),
        base.weight,
        base.bias,
        self.lora_A["default"].weight,
        self.lora_B["default"].weight,
        self.scaling["default"],
    )
    return result
