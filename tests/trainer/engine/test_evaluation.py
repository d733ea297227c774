import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import LogLevel
from contracts.pipeline import ComparisonConfig, EvaluationConfig, TrainingConfig
from trainer.domain.measures import Measures
from trainer.domain.steering import StepSteering
from trainer.engine.comparison import Entrant, compare
from trainer.engine.evaluation import Quality, evaluate
from trainer.engine.examination import fitted
from trainer.engine.examples import read_rows
from trainer.engine.recipe import train
from trainer.engine.tiny_model import Shape, make_tiny_model

CONFIG = EvaluationConfig(batch_size=5, generate_samples=3, max_new_tokens=8)


class NoCheckpoints:
    def save(self, step: int, directory: Path) -> None: ...

    def latest(self, into: Path) -> int | None:
        return None


def _train(method: str, base_model: Path, rows: Path, out: Path, steps: int = 20) -> Path:
    config = TrainingConfig(method=method, learning_rate=1e-2, max_steps=steps, batch_size=8)  # type: ignore[arg-type]
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
        steering=StepSteering(),
    )
    return out / "model"


def _tokens(measures: Measures) -> int:
    return sum(result.tokens for result in measures.results)


class Silent:
    def log(self, level: LogLevel, message: str, **numbers: float) -> None: ...


@pytest.fixture(scope="module")
def adapter(base_model: Path, rows_train: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _train("lora", base_model, rows_train, tmp_path_factory.mktemp("trained"))


def test_the_adapter_does_better_than_its_base_on_rows_it_never_saw(
    base_model: Path, adapter: Path, rows_eval: Path, progress: Any
) -> None:
    result = evaluate(base_model, rows_eval, CONFIG, adapter_dir=adapter, max_seq_length=128, progress=progress)
    assert len(result.rows) == 12
    assert result.trained.metrics()["loss"] < result.base.metrics()["loss"] - 0.5
    assert result.trained.metrics()["token_accuracy"] > result.base.metrics()["token_accuracy"]
    assert result.trained.metrics()["perplexity"] == pytest.approx(math.exp(result.trained.metrics()["loss"]))
    assert _tokens(result.trained) == _tokens(result.base) > 12
    assert [numbers["eval_loss"] for _, _, numbers in progress.lines if "eval_loss" in numbers] == [
        result.trained.metrics()["loss"]
    ]


def test_the_base_is_measured_as_if_there_were_no_adapter(
    base_model: Path, adapter: Path, rows_eval: Path, tmp_path: Path, progress: Any
) -> None:
    with_adapter = evaluate(base_model, rows_eval, CONFIG, adapter_dir=adapter, max_seq_length=128, progress=progress)
    untrained = Path(shutil.copytree(base_model, tmp_path / "untrained"))
    alone = evaluate(base_model, rows_eval, CONFIG, model_dir=untrained, max_seq_length=128, progress=progress)
    assert alone.trained.results == alone.base.results
    assert with_adapter.base.metrics()["loss"] == pytest.approx(alone.base.metrics()["loss"], rel=1e-6)


def test_a_whole_model_is_measured_beside_its_base(
    base_model: Path, rows_train: Path, rows_eval: Path, tmp_path: Path, progress: Any
) -> None:
    model = _train("full", base_model, rows_train, tmp_path)
    result = evaluate(base_model, rows_eval, CONFIG, model_dir=model, max_seq_length=128, progress=progress)
    assert result.trained.metrics()["loss"] < result.base.metrics()["loss"] - 0.5


def test_a_model_whose_losses_are_no_numbers_is_refused_by_name(
    base_model: Path, rows_eval: Path, tmp_path: Path, progress: Any
) -> None:
    damaged = Path(shutil.copytree(base_model, tmp_path / "damaged"))
    weights = load_file(damaged / "model.safetensors")
    weights["model.norm.weight"] *= float("nan")
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refused, match="the losses of the trained model are no numbers") as refused:
        evaluate(base_model, rows_eval, CONFIG, model_dir=damaged, max_seq_length=128, progress=progress)
    assert refused.value.code is RefusalCode.TRAINING_FAILED


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
    assert small.trained.metrics()["loss"] == pytest.approx(large.trained.metrics()["loss"], rel=1e-5)
    assert [sample.answer for sample in small.samples(4)] == [sample.answer for sample in large.samples(4)]


def test_samples_show_the_question_the_reference_and_both_answers(
    base_model: Path, adapter: Path, rows_eval: Path, questions: list[dict[str, str]], progress: Any
) -> None:
    result = evaluate(base_model, rows_eval, CONFIG, adapter_dir=adapter, max_seq_length=128, progress=progress)
    held_out = questions[::5]
    assert [sample.prompt for sample in result.samples(3)] == [held_out[index]["prompt"] for index in (0, 4, 8)]
    assert [sample.reference for sample in result.samples(3)] == [held_out[index]["completion"] for index in (0, 4, 8)]
    assert any(sample.answer != sample.base_answer for sample in result.samples(3))
    assert all("<|" not in sample.answer for sample in result.samples(3))


def test_no_more_rows_are_measured_than_asked_and_none_sampled_where_none_is_wanted(
    base_model: Path, adapter: Path, rows_eval: Path, progress: Any
) -> None:
    config = EvaluationConfig(max_rows=5, generate_samples=0)
    result = evaluate(base_model, rows_eval, config, adapter_dir=adapter, max_seq_length=128, progress=progress)
    assert (len(result.rows), result.samples(0)) == (5, [])


def test_a_single_sample_is_answered(base_model: Path, adapter: Path, rows_eval: Path, progress: Any) -> None:
    config = EvaluationConfig(max_rows=1, generate_samples=4, max_new_tokens=2)
    result = evaluate(base_model, rows_eval, config, adapter_dir=adapter, max_seq_length=128, progress=progress)
    assert len(result.samples(4)) == 1


def test_answers_are_the_most_probable_ones_whatever_the_model_advises(
    base_model: Path, rows_eval: Path, tmp_path: Path, progress: Any
) -> None:
    advised = Path(shutil.copytree(base_model, tmp_path / "advised"))
    GenerationConfig(do_sample=True, top_k=5, repetition_penalty=5.0).save_pretrained(advised)
    result = evaluate(base_model, rows_eval, CONFIG, model_dir=advised, max_seq_length=128, progress=progress)
    assert result.trained.results == result.base.results


def test_perplexity_of_a_hopeless_model_is_still_a_number() -> None:
    assert math.isfinite(Quality(loss=1e4, token_accuracy=0, tokens=1).perplexity)


def test_exactly_one_trained_model_is_measured(base_model: Path, rows_eval: Path, progress: Any) -> None:
    with pytest.raises(ValueError, match="adapter_dir or model_dir"):
        evaluate(base_model, rows_eval, CONFIG, max_seq_length=128, progress=progress)


def test_a_batch_that_does_not_fit_into_memory_is_measured_in_halves() -> None:
    tried: list[int] = []

    def work(rows: tuple[int, ...]) -> list[int]:
        tried.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [row * 10 for row in rows]

    found = fitted((1, 2, 3, 4, 5), work)
    assert [number for _, part in found for number in part] == [10, 20, 30, 40, 50]
    assert tried == [5, 2, 3, 1, 2]


def test_a_row_that_does_not_fit_by_itself_is_refused() -> None:
    def work(rows: tuple[int, ...]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(Refused, match="too small to measure the model on one row") as refused:
        fitted((1, 2), work)
    assert refused.value.code is RefusalCode.CONFIG_INVALID


def test_answers_are_scored_as_texts(
    base_model: Path, rows_train: Path, rows_eval: Path, tmp_path: Path, progress: Any
) -> None:
    model = _train("full", base_model, rows_train, tmp_path, steps=60)
    config = EvaluationConfig(generation_rows=4, generate_samples=1, max_new_tokens=24)
    result = evaluate(base_model, rows_eval, config, model_dir=model, max_seq_length=128, progress=progress)
    metrics = result.trained.metrics()
    assert set(metrics) == {"loss", "perplexity", "token_accuracy", "exact_match", "token_f1", "rouge_l"}
    assert metrics["rouge_l"] > result.base.metrics()["rouge_l"]
    assert result.trained.count("rouge_l") == 4
    assert len(result.samples(1)) == 1


def test_labels_are_scored_as_a_classification(
    base_model: Path, write_rows: Any, tmp_path: Path, progress: Any
) -> None:
    rows = [
        {"prompt": f"Is {thing} {kind}?\n", "completion": label}
        for thing in ("it", "that", "this", "he", "she", "one")
        for kind, label in (("good", "yes"), ("bad", "no"))
    ]
    model = _train("full", base_model, write_rows(rows * 2), tmp_path, steps=60)
    config = EvaluationConfig(generation_rows=12)
    result = evaluate(base_model, write_rows(rows), config, model_dir=model, max_seq_length=128, progress=progress)
    assert result.trained.labels == ["no", "yes"]
    metrics, matrix = result.trained.metrics(), result.trained.confusion()
    assert matrix is not None
    assert matrix.labels == ["no", "yes"]
    assert [sum(row) for row in matrix.counts] == [6, 6]
    assert metrics["accuracy"] == (matrix.counts[0][0] + matrix.counts[1][1]) / 12
    assert metrics["accuracy"] > result.base.metrics()["accuracy"]


def test_losses_of_models_with_other_tokenizers_are_not_compared(
    base_model: Path, texts: list[str], small_shape: Shape, rows_eval: Path, tmp_path: Path, progress: Any
) -> None:
    make_tiny_model(texts, tmp_path / "other", progress=progress, shape=replace(small_shape, vocabulary=300, steps=1))
    entrants = [Entrant(folder.name, folder.name, folder) for folder in (base_model, tmp_path / "other")]
    rows = list(read_rows(rows_eval))
    with pytest.raises(Refused, match="tokenizers part the rows differently"):
        compare(entrants, rows, ComparisonConfig(generation_rows=1), max_seq_length=256, progress=progress)
    config = ComparisonConfig(metric="token_f1", generation_rows=1, max_new_tokens=2)
    assert len(compare(entrants, rows, config, max_seq_length=256, progress=progress).contestants) == 2


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"task": "classification"}, "too many or too long"),
        ({"labels": ["red", "green"]}, "some rows are none of them"),
    ],
)
def test_rows_that_are_no_classification_are_refused_as_one(
    base_model: Path, adapter: Path, rows_eval: Path, progress: Any, config: dict[str, Any], reason: str
) -> None:
    asked = EvaluationConfig.model_validate(config)
    with pytest.raises(Refused, match=reason) as refused:
        evaluate(base_model, rows_eval, asked, adapter_dir=adapter, max_seq_length=128, progress=progress)
    assert refused.value.code is RefusalCode.CONFIG_INVALID
