"""What an agent finds among its ancestors: all of one branch, that of the model it works on."""

from collections.abc import Callable
from typing import Any

import pytest

from contracts.pipeline import (
    ComparisonOutput,
    Contestant,
    DatasetOutput,
    EvaluationOutput,
    ExportOutput,
    Interval,
    PreprocessingOutput,
    RegistrationConfig,
    TrainingConfig,
    TrainingOutput,
)
from trainer.domain.content import content_key
from trainer.domain.inputs import as_of, find
from trainer.domain.registration import registration_of

Make = Callable[..., Any]


def _data(name: str) -> DatasetOutput:
    path = f"s3://artifacts/run/{name}/data.parquet"
    return DatasetOutput(
        dataset_id=f"ds_{name}", s3_path=path, format="csv", rows=1, columns=["a"], size_bytes=1, sha256="0"
    )


def _rows(name: str, data: DatasetOutput) -> PreprocessingOutput:
    folder = f"s3://artifacts/run/{name}"
    return PreprocessingOutput(
        base_model="tiny",
        template="alpaca",
        chat_template=name,
        train_path=f"{folder}/train.jsonl",
        eval_path=f"{folder}/eval.jsonl",
        data_path=data.s3_path,
        train_rows=1,
        eval_rows=1,
        dropped_rows=0,
        train_tokens=1,
        eval_tokens=1,
        max_seq_length=8,
    )


def _trained(name: str, rows: PreprocessingOutput, **fields: Any) -> TrainingOutput:
    return TrainingOutput(
        base_model="tiny",
        method="lora",
        config=TrainingConfig(),
        model_path=f"s3://artifacts/run/{name}/model",
        rows_path=rows.train_path,
        steps=1,
        epochs=1,
        first_loss=1,
        final_loss=1,
        tokens=1,
        seconds=1,
        resumed_from_step=0,
        **fields,
    )


def _compared(best: TrainingOutput) -> ComparisonOutput:
    return ComparisonOutput(
        metric="loss",
        task="generation",
        rows=1,
        generated_rows=0,
        ranking=[Contestant(name="best", base_model="tiny", score=Interval(value=1, low=1, high=1), metrics={})],
        best="best",
        best_model_path=best.model_path,
        best_model_id=None,
        report_path="s3://artifacts/run/comparison/comparison.json",
    )


_DATA = [_data("dataset-1"), _data("dataset-2")]
_ROWS = [_rows(f"preprocessing-{number}", data) for number, data in enumerate(_DATA, 1)]
_TRAINED = [_trained(f"training-{number}", rows) for number, rows in enumerate(_ROWS, 1)]


@pytest.mark.parametrize("best", [0, 1])
def test_a_model_has_the_rows_and_the_data_of_its_own_branch(best: int, make_step: Make) -> None:
    exported = ExportOutput(exports={"adapter": "s3://artifacts/run/export/adapter"}, size_bytes=1)
    inputs = [exported, _compared(_TRAINED[best]), *_TRAINED, *_ROWS, *_DATA]
    told = registration_of(make_step("RegistrationAgent", {}, inputs), RegistrationConfig())
    assert (told.dataset_id, told.chat_template) == (_DATA[best].dataset_id, _ROWS[best].chat_template)
    paths = {step.kind: step.path for step in told.lineage}
    made = (_TRAINED[best].model_path, _ROWS[best].train_path, _DATA[best].s3_path)
    assert (paths["training"], paths["preprocessing"], paths["dataset"]) == made
    for agent_class in ("ExportAgent", "EvaluationAgent"):
        assert find(make_step(agent_class, {}, inputs[1:]), PreprocessingOutput) == _ROWS[best]


def test_training_takes_the_nearest_rows_whatever_was_trained_before(make_step: Make) -> None:
    step = make_step("TrainingAgent", {}, [_ROWS[1], _TRAINED[0], _ROWS[0], *_DATA])
    assert find(step, PreprocessingOutput) == _ROWS[1]


def test_what_earlier_versions_made_is_of_the_nearest(make_step: Make) -> None:
    old = _TRAINED[1].model_copy(update={"rows_path": None})
    assert find(make_step("EvaluationAgent", {}, [old, *_ROWS, *_DATA]), PreprocessingOutput) == _ROWS[0]


def test_a_result_that_is_used_again_is_of_the_ancestors_it_has_here(make_step: Make) -> None:
    step = make_step("TrainingAgent", {}, [_ROWS[1], _DATA[1]])
    assert as_of(step, _TRAINED[0]) == _TRAINED[0].model_copy(update={"rows_path": _ROWS[1].train_path})
    measured = EvaluationOutput(
        rows=1,
        tokens=1,
        loss=1,
        perplexity=1,
        token_accuracy=1,
        base_loss=1,
        base_perplexity=1,
        base_token_accuracy=1,
        model_path=_TRAINED[0].model_path,
    )
    own = as_of(make_step("EvaluationAgent", {}, [_TRAINED[1], _ROWS[1], _DATA[1]]), measured)
    assert own == measured.model_copy(update={"model_path": _TRAINED[1].model_path})
    # Where its ancestors lay does not matter for those who know it again.
    keys = {
        content_key("ExportAgent", TrainingConfig(), [output], {output.model_path: "same"}, {}, "program")
        for output in (_TRAINED[0], as_of(step, _TRAINED[0]))
    }
    assert len(keys) == 1
