import json
import math
import shutil
from collections.abc import Callable, Mapping
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import StepAdjustment
from contracts.pipeline import TrainingConfig
from trainer.domain.steering import StepSteering
from trainer.domain.work import Paused
from trainer.engine.examples import read_rows, tokenise
from trainer.engine.machine import Machine
from trainer.engine.models import load_model, load_tokenizer
from trainer.engine.objective import Objective
from trainer.engine.recipe import TrainingResult, train

CONFIG = TrainingConfig(
    learning_rate=1e-2,
    epochs=3,
    batch_size=4,
    gradient_accumulation_steps=2,
    lora_r=8,
    lora_dropout=0.1,
    logging_steps=3,
    save_steps=4,
)
"""Eighteen steps over 48 rows."""
FULL = TrainingConfig.model_validate(
    CONFIG.model_dump(exclude={"lora_r", "lora_dropout"}) | {"method": "full", "max_steps": 9}
)

Train = Callable[..., TrainingResult]


class Killed(Exception):
    """What a test uses for a lost worker."""


class Folder:
    """A `CheckpointStore` on disk; the worker is lost right after the checkpoint of step `until`."""

    def __init__(self, root: Path, until: int | None = None) -> None:
        self.root = root
        self.until = until

    def save(self, step: int, directory: Path) -> None:
        shutil.copytree(directory, self.root / f"{step:06}")
        if step == self.until:
            raise Killed

    def latest(self, into: Path) -> int | None:
        kept = sorted(self.root.iterdir()) if self.root.exists() else []
        if not kept:
            return None
        shutil.copytree(kept[-1], into, dirs_exist_ok=True)
        return int(kept[-1].name)


@pytest.fixture
def run(base_model: Path, rows_train: Path, tmp_path: Path, progress: Any) -> Train:
    """Trains on the test's rows; every argument of `train` can be replaced."""

    def call(config: TrainingConfig = CONFIG, **replaced: Any) -> TrainingResult:
        arguments = {
            "base_model": base_model,
            "rows_train": rows_train,
            "rows_eval": None,
            "chat_template": None,
            "max_seq_length": 128,
            "work_dir": tmp_path / "work",
            "output_dir": tmp_path / "model",
            "checkpoints": Folder(tmp_path / "checkpoints"),
            "progress": progress,
            "steering": StepSteering(),
        } | replaced
        return train(config=config, **arguments)

    return call


def _weights(directory: Path) -> dict[str, torch.Tensor]:
    return {name: weight for file in directory.glob("*.safetensors") for name, weight in load_file(file).items()}


def test_the_loss_falls_and_the_result_says_by_how_much(run: Train, rows_eval: Path, progress: Any) -> None:
    result = run(rows_eval=rows_eval)
    assert (result.steps, result.epochs, result.resumed_from_step) == (18, 3.0, 0)
    assert result.final_loss < result.first_loss - 0.5
    assert progress.curve()[3] == result.first_loss
    assert progress.curve()[18] == result.final_loss
    assert list(progress.curve("eval_loss")) == [6, 12, 18]
    assert progress.curve("eval_loss")[18] < progress.curve("eval_loss")[6]
    assert result.seconds > 0


def test_every_record_has_the_numbers_that_are_plotted(run: Train, progress: Any) -> None:
    run()
    steps = [numbers for level, _, numbers in progress.lines if level == "METRIC"]
    assert [numbers["step"] for numbers in steps] == [3, 6, 9, 12, 15, 18]
    for numbers in steps:
        assert numbers.keys() == {
            "step", "total_steps", "epoch", "loss", "learning_rate", "grad_norm", "tokens_per_second", "memory_bytes"
        }  # fmt: skip
        assert numbers["tokens_per_second"] > 0
        assert numbers["total_steps"] == 18


def test_tokens_counts_what_went_through_the_model_without_padding(
    run: Train, base_model: Path, rows_train: Path
) -> None:
    examples = tokenise(read_rows(rows_train), load_tokenizer(base_model), 128)
    assert run().tokens == 3 * len(examples.tokens)


def test_a_run_that_was_interrupted_has_the_losses_and_weights_of_one_that_was_not(
    run: Train, tmp_path: Path, progress: Any
) -> None:
    whole = run(output_dir=tmp_path / "whole", checkpoints=Folder(tmp_path / "unused"))
    expected = progress.curve()
    progress.lines.clear()
    with pytest.raises(Killed):
        run(checkpoints=Folder(tmp_path / "checkpoints", until=4))
    assert list(progress.curve()) == [3]
    resumed = run()
    assert resumed.resumed_from_step == 4
    assert progress.curve() == pytest.approx(expected, rel=1e-5)
    assert resumed.first_loss == pytest.approx(whole.first_loss, rel=1e-6)
    assert resumed.tokens == whole.tokens
    before, after = _weights(tmp_path / "whole"), _weights(tmp_path / "model")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=1e-4, atol=1e-6)


def test_a_full_run_resumes_as_well(run: Train, tmp_path: Path, progress: Any) -> None:
    run(FULL, checkpoints=Folder(tmp_path / "unused"), output_dir=tmp_path / "whole")
    expected = progress.curve()
    progress.lines.clear()
    with pytest.raises(Killed):
        run(FULL, checkpoints=Folder(tmp_path / "checkpoints", until=8))
    assert run(FULL).resumed_from_step == 8
    assert progress.curve() == pytest.approx(expected, rel=1e-5)


def test_weights_of_32_bits_learn_in_bfloat16(run: Train, progress: Any) -> None:
    """There rotated queries and keys are of another type than values."""
    result = run(FULL.model_copy(update={"precision": "bfloat16"}))
    assert any("in bfloat16; rows end to end" in message for message in progress.messages("INFO"))
    assert result.final_loss < result.first_loss


class Wishes(StepSteering):
    """What people ask for while a run goes on: by the number of times that the run has asked."""

    def __init__(self, *, pause_at: int | None = None, adjust_at: Mapping[int, StepAdjustment] | None = None) -> None:
        super().__init__()
        self._asked = -1
        self._pause_at = pause_at
        self._adjust_at = adjust_at or {}

    def adjustments(self) -> list[StepAdjustment]:
        self._asked += 1
        return [self._adjust_at[self._asked]] if self._asked in self._adjust_at else []

    def wants_pause(self) -> bool:
        return self._asked == self._pause_at


def test_a_paused_run_keeps_its_state_at_once_and_goes_on_from_there(run: Train, tmp_path: Path, progress: Any) -> None:
    run(checkpoints=Folder(tmp_path / "unused"), output_dir=tmp_path / "whole")
    expected = progress.curve()
    progress.lines.clear()
    with pytest.raises(Paused):
        run(steering=Wishes(pause_at=5))
    assert [directory.name for directory in sorted(tmp_path.glob("checkpoints/*"))] == ["000004", "000005"]
    assert run().resumed_from_step == 5
    assert progress.curve() == pytest.approx(expected, rel=1e-5)


def test_the_learning_rate_can_be_changed_while_a_run_goes_on(run: Train, tmp_path: Path, progress: Any) -> None:
    config = CONFIG.model_copy(update={"logging_steps": 1, "lr_scheduler_type": "constant", "warmup_ratio": 0.0})
    slower = StepAdjustment(number=7, learning_rate=1e-4, by="ada")
    result = run(config, steering=Wishes(adjust_at={5: slower}), checkpoints=Folder(tmp_path / "unused"))
    whole, (change,) = progress.curve(), result.learning_rate_changes
    assert (change.step, change.previous, change.learning_rate, change.by) == (6, 1e-2, 1e-4, "ada")
    rates = [numbers["learning_rate"] for _, _, numbers in progress.lines if "loss" in numbers]
    assert [rates[step - 1] for step in (5, 6, 18)] == pytest.approx([1e-2, 1e-4, 1e-4])
    assert [n["adjustment"] for _, _, n in progress.lines if "adjustment" in n] == [7]
    # Another attempt is told again of all that was asked for, and the state that it goes on from knows of it.
    progress.lines.clear()
    with pytest.raises(Killed):
        run(config, steering=Wishes(adjust_at={5: slower}), checkpoints=Folder(tmp_path / "checkpoints", until=8))
    resumed = run(config, steering=Wishes(adjust_at={0: slower}))
    assert [(change.step, change.by) for change in resumed.learning_rate_changes] == [(6, "ada")]
    assert progress.curve() == pytest.approx(whole, rel=1e-5)
    assert len([n for _, _, n in progress.lines if "adjustment" in n]) == 1


def test_a_run_whose_held_out_loss_stops_falling_ends_with_the_best_weights(
    run: Train, rows_eval: Path, base_model: Path, tmp_path: Path, progress: Any
) -> None:
    """At such a rate it gets worse soon."""
    config = CONFIG.model_copy(
        update={"learning_rate": 0.3, "epochs": 20, "eval_steps": 2, "early_stopping_patience": 3}
    )
    result = run(config, rows_eval=rows_eval, checkpoints=Folder(tmp_path / "unused"))
    curve = progress.curve("eval_loss")
    assert result.stopped_early
    assert list(curve) == list(range(2, result.steps + 1, 2))
    best = min(curve, key=curve.__getitem__)
    assert (result.best_step, result.eval_loss) == (best, curve[best])
    assert result.steps == best + 6
    # What was written is what was measured.
    trained = PeftModel.from_pretrained(load_model(base_model, torch.float32), tmp_path / "model").eval()
    held_out = tokenise(read_rows(rows_eval), load_tokenizer(base_model), 128)
    objective = Objective(trained, Machine(torch.device("cpu"), half=False))
    measured = objective.measure(objective.collate(held_out, tuple(range(len(held_out)))))
    assert measured.loss / measured.tokens == pytest.approx(curve[best], rel=1e-4)
    # A run that was killed on the way ends the same, and tells what was asked for before its best step.
    same = [StepAdjustment(number=number, learning_rate=config.learning_rate, by="ada") for number in (1, 2)]
    checkpoints = Folder(tmp_path / "checkpoints", until=(result.steps - 1) // 4 * 4)
    with pytest.raises(Killed):
        run(config, rows_eval=rows_eval, checkpoints=checkpoints, steering=Wishes(adjust_at={1: same[0]}))
    late = Wishes(adjust_at={0: same[1]})
    again = run(config, rows_eval=rows_eval, output_dir=tmp_path / "again", steering=late)
    assert (again.steps, again.best_step) == (result.steps, result.best_step)
    assert again.resumed_from_step > best
    assert [change.step for change in again.learning_rate_changes] == [2]
    before, after = _weights(tmp_path / "model"), _weights(tmp_path / "again")
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=1e-4, atol=1e-6)


def test_packed_rows_learn_what_padded_rows_do(run: Train, progress: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIG.model_copy(
        update={"max_steps": 3, "batch_size": 48, "gradient_accumulation_steps": 1, "lora_dropout": 0.0}
    )
    run(config)
    end_to_end = progress.curve()
    monkeypatch.setattr(Objective, "_rows_stay_apart", lambda self: False)
    run(config)
    assert "padded rows" in progress.messages("INFO")[-2]
    assert progress.curve() == pytest.approx(end_to_end, rel=1e-4)


def test_with_packing_a_step_takes_in_more_rows(run: Train, progress: Any) -> None:
    config = CONFIG.model_copy(update={"packing": True, "batch_size": 1, "gradient_accumulation_steps": 1})
    result = run(config, max_seq_length=256)
    assert result.steps <= 3 * 48 / 2
    assert result.final_loss < result.first_loss


def test_a_length_of_the_training_cuts_the_rows_shorter(run: Train, progress: Any) -> None:
    whole = run(CONFIG.model_copy(update={"max_steps": 1})).tokens
    assert run(CONFIG.model_copy(update={"max_steps": 1, "max_seq_length": 70})).tokens < whole


def test_what_a_run_needs_is_said_before_it_starts(run: Train, progress: Any) -> None:
    result = run(CONFIG.model_copy(update={"max_steps": 1}))
    lines = [message for _, message, _ in progress.lines]
    assert any(line.startswith("Expected: ") for line in lines[:2])
    assert 0 < result.estimate.memory_bytes < result.estimate.available_bytes
    assert result.estimate.seconds is not None
    assert result.peak_memory_bytes > 0


def test_a_compiled_run_has_the_losses_of_one_that_is_not(
    run: Train, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.model_copy(update={"max_steps": 1, "lora_dropout": 0.0})
    run(config)
    expected = progress.curve()
    # Traced as ever, but run as it is: making machine code of it takes half a minute.
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager"))
    run(config.model_copy(update={"torch_compile": True}))
    assert progress.curve() == pytest.approx(expected, rel=1e-4)


def test_two_devices_learn_what_one_does(run: Train, rows_eval: Path, tmp_path: Path, progress: Any) -> None:
    """Two processes on one CPU: what they say to each other is what those of two GPUs do."""
    config = CONFIG.model_copy(update={"max_steps": 6, "batch_size": 3, "lora_dropout": 0.0, "save_steps": 2})
    run(config, rows_eval=rows_eval, checkpoints=Folder(tmp_path / "unused"), output_dir=tmp_path / "one")
    expected, held_out = progress.curve(), progress.curve("eval_loss")
    progress.lines.clear()
    # What was begun on one device goes on on two.
    with pytest.raises(Killed):
        run(config, rows_eval=rows_eval, checkpoints=Folder(tmp_path / "checkpoints", until=2))
    assert run(config, rows_eval=rows_eval, devices=2).resumed_from_step == 2
    assert progress.curve() == pytest.approx(expected, rel=1e-4)
    assert progress.curve("eval_loss") == pytest.approx(held_out, rel=1e-4)
    assert any("on 2 of cpu" in message for message in progress.messages("INFO"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="they may be there")
def test_ligers_kernels_are_refused_clearly_where_there_is_no_gpu(run: Train) -> None:
    with pytest.raises(Refused, match="liger-kernel") as refused:
        run(CONFIG.model_copy(update={"use_liger_kernel": True}))
    assert refused.value.code == RefusalCode.CONFIG_INVALID


def test_checkpoints_are_safetensors_and_json_and_leave_nothing_behind(run: Train, tmp_path: Path) -> None:
    run()
    kept = sorted(tmp_path.glob("checkpoints/*"))
    assert [int(directory.name) for directory in kept] == [4, 8, 12, 16]
    for directory in kept:
        assert {file.name for file in directory.iterdir()} == {
            "weights.safetensors",
            "optimizer.safetensors",
            "state.json",
        }
        json.loads((directory / "state.json").read_text())
    assert list((tmp_path / "work").iterdir()) == []


def test_a_checkpoint_of_another_configuration_is_not_taken_up(run: Train, tmp_path: Path, progress: Any) -> None:
    with pytest.raises(Killed):
        run(checkpoints=Folder(tmp_path / "checkpoints", until=4))
    other = run(CONFIG.model_copy(update={"seed": 1}), checkpoints=OnlyLatest(tmp_path / "checkpoints"))
    assert other.resumed_from_step == 0
    assert any("another configuration" in message for message in progress.messages("WARN"))


class OnlyLatest(Folder):
    """Keeps nothing new."""

    def save(self, step: int, directory: Path) -> None: ...


def test_an_adapter_and_its_tokenizer_are_written_without_pickle(run: Train, tmp_path: Path) -> None:
    run(chat_template="{{ messages[0]['content'] }}")
    names = {file.name for file in (tmp_path / "model").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert (tmp_path / "model" / "chat_template.jinja").read_text() == "{{ messages[0]['content'] }}"


def test_a_full_run_writes_a_whole_model_in_the_precision_of_its_base(
    run: Train, base_model: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half"
    shutil.copytree(base_model, half)
    save_file(
        {name: weight.bfloat16() for name, weight in _weights(base_model).items()},
        half / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = json.loads((half / "config.json").read_text())
    (half / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    result = run(FULL, base_model=half)
    assert result.final_loss < result.first_loss - 0.5
    assert {weight.dtype for weight in _weights(tmp_path / "model").values()} == {torch.bfloat16}


def test_prompts_are_learnt_too_where_asked(run: Train, progress: Any) -> None:
    run(CONFIG.model_copy(update={"max_steps": 3}))
    answers = progress.curve()[3]
    run(CONFIG.model_copy(update={"max_steps": 3, "train_on_inputs": True}))
    assert progress.curve()[3] != pytest.approx(answers, rel=1e-2)


def test_only_the_modules_that_are_named_are_adapted(run: Train, tmp_path: Path) -> None:
    run(CONFIG.model_copy(update={"target_modules": ["q_proj"], "max_steps": 1}))
    assert all("q_proj" in name for name in _weights(tmp_path / "model"))


def test_target_modules_that_the_model_lacks_are_refused_with_those_it_has(run: Train) -> None:
    with pytest.raises(Refused, match=r"down_proj.*q_proj") as refused:
        run(CONFIG.model_copy(update={"target_modules": ["c_attn"]}))
    assert refused.value.code == RefusalCode.CONFIG_INVALID


def test_rows_without_an_answer_in_reach_are_refused(run: Train) -> None:
    with pytest.raises(Refused, match="nothing to learn") as refused:
        run(max_seq_length=8)
    assert refused.value.code == RefusalCode.DATASET_INVALID


def test_a_loss_that_is_no_number_ends_the_run(run: Train, base_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(base_model, broken)
    weights = _weights(base_model)
    weights["model.norm.weight"] = weights["model.norm.weight"] * float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refused, match="no number") as refused:
        run(base_model=broken)
    assert refused.value.code == RefusalCode.TRAINING_FAILED
    assert not (tmp_path / "checkpoints").exists()


def test_weights_that_a_last_gradient_has_spoilt_are_not_kept(
    run: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss before it was a number still."""
    monkeypatch.setattr("trainer.engine.run.clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    with pytest.raises(Refused, match="no number"):
        run(CONFIG.model_copy(update={"max_steps": 1}))
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="QLoRA is there")
def test_qlora_is_refused_clearly_where_there_is_no_gpu(run: Train) -> None:
    with pytest.raises(Refused, match=r"CUDA.*bitsandbytes") as refused:
        run(CONFIG.model_copy(update={"method": "qlora"}))
    assert refused.value.code == RefusalCode.CONFIG_INVALID


def test_activations_that_do_not_fit_are_computed_twice_with_the_same_losses(
    run: Train, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.model_copy(update={"max_steps": 3})
    run(config)
    expected = progress.curve()
    monkeypatch.setattr(Machine, "activation_budget", lambda self: 1)
    run(config)
    assert any("computed twice" in message for message in progress.messages("INFO"))
    assert progress.curve() == pytest.approx(expected, rel=1e-5)
