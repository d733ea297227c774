import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from contracts.orchestrator import LogLevel
from contracts.pipeline import EvaluationConfig, TrainingConfig
from trainer.engine.evaluation import Quality, evaluate
from trainer.engine.recipe import train

CONFIG = EvaluationConfig(batch_size=5, generate_samples=3, max_new_tokens=8)


class NoCheckpoints:
    def save(self, step: int, directory: Path) -> None: ...

    def latest(self, into: Path) -> int | None:
        return None


def _train(method: str, base_model: Path, rows: Path, out: Path) -> Path:
    config = TrainingConfig(method=method, learning_rate=1e-2, max_steps=20, batch_size=8)  # type: ignore[arg-type]
    train(
        base_model,
        config,
        rows,
        None,
        chat_template=None,
        max_seq_length=128,
        work_dir=out / "work",
        output_dir=out / "model",
        checkpoints=NoCheckpoints(),
        progress=Silent(),
    )
    return out / "model"


class Silent:
    def log(self, level: LogLevel, message: str, **numbers: float) -> None: ...


@pytest.fixture(scope="module")
def adapter(base_model: Path, rows_train: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _train("lora", base_model, rows_train, tmp_path_factory.mktemp("trained"))


def test_the_adapter_does_better_than_its_base_on_rows_it_never_saw(
    base_model: Path, adapter: Path, rows_eval: Path, progress: Any
) -> None:
    result = evaluate(base_model, rows_eval, CONFIG, adapter_dir=adapter, max_seq_length=128, progress=progress)
    assert result.rows == 12
    assert result.trained.loss < result.base.loss - 0.5
    assert result.trained.token_accuracy > result.base.token_accuracy
    assert result.trained.perplexity == pytest.approx(math.exp(result.trained.loss))
    assert result.trained.tokens == result.base.tokens > 12
    assert [numbers["eval_loss"] for _, _, numbers in progress.lines if "eval_loss" in numbers] == [result.trained.loss]


def test_the_base_is_measured_as_if_there_were_no_adapter(
    base_model: Path, adapter: Path, rows_eval: Path, tmp_path: Path, progress: Any
) -> None:
    with_adapter = evaluate(base_model, rows_eval, CONFIG, adapter_dir=adapter, max_seq_length=128, progress=progress)
    untrained = Path(shutil.copytree(base_model, tmp_path / "untrained"))
    alone = evaluate(base_model, rows_eval, CONFIG, model_dir=untrained, max_seq_length=128, progress=progress)
    assert alone.trained == alone.base
    assert with_adapter.base.loss == pytest.approx(alone.base.loss, rel=1e-6)


def test_a_whole_model_is_measured_beside_its_base(
    base_model: Path, rows_train: Path, rows_eval: Path, tmp_path: Path, progress: Any
) -> None:
    model = _train("full", base_model, rows_train, tmp_path)
    result = evaluate(base_model, rows_eval, CONFIG, model_dir=model, max_seq_length=128, progress=progress)
    assert result.trained.loss < result.base.loss - 0.5


def test_the_batch_size_does_not_change_what_is_measured(
    base_model: Path, adapter: Path, rows_eval: Path, progress: Any
) -> None:
    small, large = (
        evaluate(
            base_model,
            rows_eval,
            EvaluationConfig(batch_size=size, generate_samples=4, max_new_tokens=8),
            adapter_dir=adapter,
            max_seq_length=128,
            progress=progress,
        )
        for size in (1, 64)
    )
    assert small.trained.loss == pytest.approx(large.trained.loss, rel=1e-5)
    assert [sample.answer for sample in small.samples] == [sample.answer for sample in large.samples]


def test_samples_show_the_question_the_reference_and_both_answers(
    base_model: Path, adapter: Path, rows_eval: Path, questions: list[dict[str, str]], progress: Any
) -> None:
    result = evaluate(base_model, rows_eval, CONFIG, adapter_dir=adapter, max_seq_length=128, progress=progress)
    held_out = questions[::5]
    assert [sample.prompt for sample in result.samples] == [held_out[index]["prompt"] for index in (0, 4, 8)]
    assert [sample.reference for sample in result.samples] == [held_out[index]["completion"] for index in (0, 4, 8)]
    assert any(sample.answer != sample.base_answer for sample in result.samples)
    assert all("<|" not in sample.answer for sample in result.samples)


def test_no_more_rows_are_measured_than_asked_and_none_sampled_where_none_is_wanted(
    base_model: Path, adapter: Path, rows_eval: Path, progress: Any
) -> None:
    config = EvaluationConfig(max_rows=5, generate_samples=0)
    result = evaluate(base_model, rows_eval, config, adapter_dir=adapter, max_seq_length=128, progress=progress)
    assert (result.rows, result.samples) == (5, ())


def test_a_single_sample_is_answered(base_model: Path, adapter: Path, rows_eval: Path, progress: Any) -> None:
    config = EvaluationConfig(max_rows=1, generate_samples=4, max_new_tokens=2)
    result = evaluate(base_model, rows_eval, config, adapter_dir=adapter, max_seq_length=128, progress=progress)
    assert len(result.samples) == 1


def test_perplexity_of_a_hopeless_model_is_still_a_number() -> None:
    assert math.isfinite(Quality(loss=1e4, token_accuracy=0, tokens=1).perplexity)


def test_exactly_one_trained_model_is_measured(base_model: Path, rows_eval: Path, progress: Any) -> None:
    with pytest.raises(ValueError, match="adapter_dir or model_dir"):
        evaluate(base_model, rows_eval, CONFIG, max_seq_length=128, progress=progress)
