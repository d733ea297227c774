"""Direct preference optimisation: what a step minimises, and a whole run of it."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from contracts.base import RefusalCode, Refused
from contracts.pipeline import TrainingConfig
from trainer.domain.steering import StepSteering
from trainer.engine import objective as objective_module
from trainer.engine.examples import Examples
from trainer.engine.machine import Machine
from trainer.engine.models import load_model, load_tokenizer
from trainer.engine.objective import Objective
from trainer.engine.recipe import train
from trainer.engine.tasks import Preferences, tokenise_pairs
from trainer.engine.trainable import compute_twice

CPU = Machine(torch.device("cpu"), half=False)
BETA = 0.5


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, questions: list[dict[str, str]]) -> Path:
    """Of two answers the one that says `indeed` is chosen."""
    path = tmp_path_factory.mktemp("pairs") / "rows.jsonl"
    rows = [
        {"prompt": row["prompt"], "chosen": "It is, indeed.", "rejected": f"It is not, {'no ' * (index % 3)}never."}
        for index, row in enumerate(questions)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def model(base_model: Path) -> Any:
    """A model whose adapter does something, so that it differs from its base."""
    model = get_peft_model(load_model(base_model, torch.float32), LoraConfig(target_modules="all-linear"))
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return model.eval()


def _log_probability(model: Any, examples: Examples, row: int) -> Tensor:
    """Of a row's answer, by transformers' own logits."""
    tokens = torch.from_numpy(examples.row(row).astype("int64"))
    logits = log_softmax(model(input_ids=tokens[None]).logits[0, :-1], -1)
    return logits.gather(-1, tokens[1:, None])[examples.answers[row] - 1 :].sum()


def _expected(model: Any, examples: Examples, chosen: tuple[int, ...]) -> Tensor:
    """The sum over pairs of equation 7 of Rafailov et al. 2023, as it is written there."""
    losses = []
    for pair in chosen:
        wins, loses = (_log_probability(model, examples, row) for row in (2 * pair, 2 * pair + 1))
        with torch.no_grad(), model.disable_adapter():
            base_wins, base_loses = (_log_probability(model, examples, row) for row in (2 * pair, 2 * pair + 1))
        losses.append(-logsigmoid(BETA * (wins - base_wins) - BETA * (loses - base_loses)))
    return torch.stack(losses).sum()


@pytest.mark.parametrize("packs", [True, False])
def test_a_step_minimises_what_the_paper_says(
    model: Any, base_model: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, *, packs: bool
) -> None:
    monkeypatch.setitem(objective_module._LOGITS, "cpu", 2048)  # some positions at a time
    examples = tokenise_pairs(pairs, load_tokenizer(base_model), 128)
    expected = _expected(model, examples, (0, 5, 2))
    expected.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}
    model.zero_grad()
    objective = Objective(model, CPU)
    objective.packs = packs
    loss = Preferences(examples, None, BETA).backward(objective, (0, 5, 2), 0.25)
    assert loss.item() == pytest.approx(0.25 * expected.item(), rel=1e-4)
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            torch.testing.assert_close(weight.grad, 0.25 * gradients[name], rtol=1e-3, atol=1e-6, msg=name)


def test_activations_that_are_computed_twice_know_the_adapter_from_its_base(
    model: Any, base_model: Path, pairs: Path
) -> None:
    examples = tokenise_pairs(pairs, load_tokenizer(base_model), 128)
    task = Preferences(examples, None, BETA)
    objective = Objective(model.train(), CPU)
    once = task.backward(objective, (0, 1), 1.0)
    gradients = [weight.grad.clone() for weight in model.parameters() if weight.requires_grad]
    model.zero_grad()
    compute_twice(model)
    assert task.backward(objective, (0, 1), 1.0).item() == pytest.approx(once.item(), rel=1e-5)
    for before, weight in zip(gradients, (w for w in model.parameters() if w.requires_grad), strict=True):
        torch.testing.assert_close(weight.grad, before, rtol=1e-4, atol=1e-6)


def test_a_run_learns_to_prefer_the_chosen_answers(
    base_model: Path, pairs: Path, tmp_path: Path, progress: Any
) -> None:
    config = TrainingConfig(
        objective="dpo",
        learning_rate=5e-3,
        epochs=2,
        batch_size=8,
        logging_steps=1,
        dpo_beta=0.3,
        lora_dropout=0.1,
        eval_steps=2,
        early_stopping_patience=20,
    )
    result = train(
        base_model,
        config,
        pairs,
        pairs,
        chat_template=None,
        max_seq_length=128,
        work_dir=tmp_path / "work",
        output_dir=tmp_path / "model",
        checkpoints=Nothing(),
        progress=progress,
        steering=StepSteering(),
    )
    assert progress.curve()[1] == pytest.approx(math.log(2), rel=0.05)  # an adapter begins as its base
    assert result.final_loss < 0.5 * result.first_loss
    held_out = progress.curve("eval_loss")
    assert held_out[result.steps] < 0.5 * math.log(2)
    assert (result.eval_loss, result.best_step) == (min(held_out.values()), min(held_out, key=held_out.__getitem__))
    assert (tmp_path / "model" / "adapter_model.safetensors").exists()
    shutil.rmtree(tmp_path / "model")


class Nothing:
    """Keeps no checkpoint."""

    def save(self, step: int, directory: Path) -> None: ...

    def latest(self, into: Path) -> int | None:
        return None


def test_rows_without_two_answers_are_refused(base_model: Path, rows_train: Path) -> None:
    with pytest.raises(Refused, match="chosen and rejected") as refused:
        tokenise_pairs(rows_train, load_tokenizer(base_model), 128)
    assert refused.value.code == RefusalCode.DATASET_INVALID


def test_a_pair_of_which_one_answer_has_no_room_is_left_out_whole(base_model: Path, pairs: Path) -> None:
    tokenizer = load_tokenizer(base_model)
    everything = tokenise_pairs(pairs, tokenizer, 128)
    room = sorted(int(first) for first in everything.answers)[len(everything) // 2] + 1
    with pytest.raises(Refused, match=r"None of the [0-9]+ pairs has an answer within 9 tokens"):
        tokenise_pairs(pairs, tokenizer, 9)
    fitting = tokenise_pairs(pairs, tokenizer, room)
    assert fitting.skipped > 0
    assert len(fitting) == 2 * (len(everything) // 2 - fitting.skipped)
