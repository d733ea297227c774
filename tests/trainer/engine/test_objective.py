from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from trainer.engine import objective as module
from trainer.engine.examples import Examples
from trainer.engine.machine import Machine
from trainer.engine.models import load_model
from trainer.engine.objective import Objective, collate

CPU = Machine(torch.device("cpu"), half=False)


@pytest.fixture
def model(base_model: Path) -> Any:
    return load_model(base_model, torch.float32).eval()


@pytest.fixture
def examples() -> Examples:
    """Rows of 9, 5 and 14 tokens whose answers begin at tokens 4, 1 and 10."""
    random = np.random.default_rng(3)
    lengths, answers = [9, 5, 14], [4, 1, 10]
    tokens = random.integers(2, 300, sum(lengths)).astype(np.int32)
    return Examples(tokens, np.cumsum([0, *lengths]), np.array(answers, dtype=np.int32), 0)


def _expected(model: Any, examples: Examples) -> tuple[float, int]:
    """The summed loss by transformers itself, row by row and so without padding."""
    loss, count = 0.0, 0
    for row in range(len(examples)):
        tokens = torch.from_numpy(examples.row(row).astype(np.int64)).unsqueeze(0)
        labels = tokens.clone()
        labels[:, : examples.answers[row]] = -100
        counted = int((labels[:, 1:] != -100).sum())
        loss += model(input_ids=tokens, labels=labels).loss.item() * counted
        count += counted
    return loss, count


def test_padding_and_prompts_do_not_change_the_loss(model: Any, examples: Examples) -> None:
    measured = Objective(model, CPU).measure(collate(examples, (0, 1, 2), CPU.device))
    loss, count = _expected(model, examples)
    assert measured.tokens == count == 5 + 4 + 4
    assert measured.loss == pytest.approx(loss, rel=1e-5)


def test_logits_that_an_architecture_caps_are_capped_here_too(examples: Examples) -> None:
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=0.5,
        initializer_range=1.0,
    )
    model = Gemma2ForCausalLM(config).eval()
    measured = Objective(model, CPU).measure(collate(examples, (0, 1, 2), CPU.device))
    assert measured.loss == pytest.approx(_expected(model, examples)[0], rel=1e-5)


def test_gradients_of_micro_batches_add_up_to_those_of_the_whole(
    model: Any, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._LOGITS, "cpu", 1024)

    def gradients(*plan: tuple[int, ...]) -> tuple[float, list[torch.Tensor]]:
        model.zero_grad()
        objective = Objective(model, CPU)
        loss = sum(objective.backward(collate(examples, rows, CPU.device), 1 / 13).item() for rows in plan)
        return loss, [weight.grad.clone() for weight in model.parameters()]

    loss, whole = gradients((0, 1, 2))
    parts_loss, parts = gradients((2,), (0, 1))
    assert parts_loss == pytest.approx(loss, rel=1e-5)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_the_models_own_loss(model: Any, examples: Examples) -> None:
    model.zero_grad()
    Objective(model, CPU).backward(collate(examples, (0,), CPU.device), 1 / 5)
    ours = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    tokens = torch.from_numpy(examples.row(0).astype(np.int64)).unsqueeze(0)
    labels = tokens.clone()
    labels[:, :4] = -100
    model(input_ids=tokens, labels=labels).loss.backward()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(ours[name], weight.grad, rtol=1e-4, atol=1e-6, msg=name)
