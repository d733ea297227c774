from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import MambaConfig, MambaForCausalLM, MistralConfig, MistralForCausalLM

from trainer.engine import attention
from trainer.engine.attention import ROWS, Rows, attend_to_rows, rows_apart
from trainer.engine.examples import Examples
from trainer.engine.machine import Machine
from trainer.engine.models import load_model
from trainer.engine.objective import Objective, collate

CPU = Machine(torch.device("cpu"), half=False)
LENGTHS = (9, 1, 30)


@pytest.fixture
def examples() -> Examples:
    random = np.random.default_rng(5)
    tokens = random.integers(2, 300, sum(LENGTHS)).astype(np.int32)
    return Examples(tokens, np.cumsum([0, *LENGTHS]), np.array([4, 1, 10], dtype=np.int32), 0)


def _packed_and_alone(model: Any, examples: Examples, rows: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The logits of rows end to end, and those of each row by itself as transformers computes them."""
    batch = collate(examples, rows, CPU.device, packed=True)
    with torch.no_grad():
        with rows_apart(model):
            packed = model(input_ids=batch.tokens, use_cache=False, **batch.placing()).logits[0]
        alone = [model(input_ids=torch.from_numpy(examples.row(row).astype(np.int64))[None]).logits[0] for row in rows]
    return packed, torch.cat(alone)


def test_rows_end_to_end_have_the_logits_that_each_has_alone(base_model: Path, examples: Examples) -> None:
    model = load_model(base_model, torch.float32).eval()
    packed, alone = _packed_and_alone(model, examples, (0, 1, 2))
    torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)
    # What would be there without the row boundaries, so that this test could fail.
    together = model(input_ids=torch.from_numpy(examples.tokens.astype(np.int64))[None], use_cache=False).logits[0]
    assert (together - alone).abs().max() > 0.1


def test_a_sliding_window_stays_within_its_row(examples: Examples) -> None:
    torch.manual_seed(0)
    model = MistralForCausalLM(
        MistralConfig(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            sliding_window=4,
            initializer_range=0.5,
        )
    ).eval()
    packed, alone = _packed_and_alone(model, examples, (0, 2))
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-4)


def test_the_model_is_left_with_the_attention_that_it_had(base_model: Path) -> None:
    model = load_model(base_model, torch.float32)
    with rows_apart(model):
        assert model.config._attn_implementation == ROWS
    assert model.config._attn_implementation == "sdpa"


def test_a_model_with_a_recurrence_is_fed_padded_rows(examples: Examples) -> None:
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=300, hidden_size=32, state_size=4, num_hidden_layers=1)
    objective = Objective(MambaForCausalLM(config).eval(), CPU)
    assert not objective.packs
    assert objective.collate(examples, (0, 2)).tokens.shape == (2, 30)


@pytest.mark.parametrize("queries_at_once", [512, 7])
def test_the_gradients_are_those_of_pytorchs_own_attention(
    queries_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_QUERIES", queries_at_once)
    torch.manual_seed(0)
    heads, size = (4, 2, 2), 16
    states = [torch.randn(1, count, sum(LENGTHS), size) for count in heads]
    towards = torch.randn(1, sum(LENGTHS), heads[0], size)

    def gradients(attend: Callable[..., Tensor]) -> list[Tensor]:
        leaves = [state.clone().requires_grad_() for state in states]
        output = attend(*leaves)
        output.backward(towards)
        return [output, *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    def ours(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return attend_to_rows(None, query, key, value, None, scaling=0.3, rows=Rows.of(LENGTHS, CPU.device))[0]

    def theirs(*all_states: Tensor) -> Tensor:
        rows = zip(*(state.split(LENGTHS, 2) for state in all_states), strict=True)
        attended = [scaled_dot_product_attention(*r, is_causal=True, scale=0.3, enable_gqa=True) for r in rows]
        return torch.cat(attended, 2).transpose(1, 2)

    for mine, expected in zip(gradients(ours), gradients(theirs), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)


def test_what_rows_end_to_end_cannot_do_is_refused_and_not_left_out() -> None:
    states = torch.randn(1, 2, 40, 16)
    with pytest.raises(ValueError, match="plain causal attention"):
        attend_to_rows(None, states, states, states, None, softcap=30.0, rows=Rows.of(LENGTHS, CPU.device))
