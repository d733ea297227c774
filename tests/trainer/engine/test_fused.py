from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainer.engine.fused import TokenLoss, fuse_adapters
from trainer.engine.models import load_model

TOKENS = torch.arange(2, 26).reshape(2, 12)


def _adapted(base_model: Path, **options: Any) -> Any:
    """A model with adapters that do something: a new one multiplies by zero."""
    model = get_peft_model(load_model(base_model, torch.float32), LoraConfig(target_modules="all-linear", **options))
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model


def _logits_and_gradients(model: Any) -> dict[str, Tensor]:
    model.zero_grad()
    logits = model(input_ids=TOKENS).logits
    logits.square().mean().backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}
    return {"logits": logits.detach(), **gradients}


def test_a_fused_adapter_computes_what_peft_does(base_model: Path) -> None:
    model = _adapted(base_model)
    expected = _logits_and_gradients(model)
    assert fuse_adapters(model, torch.float32) == 14
    for name, value in _logits_and_gradients(model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_fused_adapter_can_be_switched_off(base_model: Path) -> None:
    model = _adapted(base_model)
    fuse_adapters(model, torch.float32)
    base = load_model(base_model, torch.float32)
    with model.disable_adapter(), torch.no_grad():
        assert torch.equal(model(input_ids=TOKENS).logits, base(input_ids=TOKENS).logits)


@pytest.mark.parametrize("options", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_what_is_more_than_a_plain_adapter_stays_pefts(base_model: Path, options: dict[str, Any]) -> None:
    assert fuse_adapters(_adapted(base_model, **options), torch.float32) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_and_its_gradient_are_pytorchs(dtype: torch.dtype, *, weighted: bool) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(7, 50).to(dtype), torch.randint(0, 50, (7,))
    ours, theirs = logits.clone().requires_grad_(), logits.float().requires_grad_()
    weights = torch.linspace(-1, 2, 7) if weighted else None
    loss = TokenLoss.apply(ours, targets, weights)
    expected = (cross_entropy(theirs, targets, reduction="none") * (1 if weights is None else weights)).sum()
    (loss * 0.5).backward()
    (expected * 0.5).backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad.float(), theirs.grad, rtol=1e-2, atol=1e-6 if dtype == torch.float32 else 5e-3)
