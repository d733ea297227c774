"""Comparison as an agent: models of this job and of the registry on the same rows, and what follows takes the best."""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused
from contracts.pipeline import (
    ComparisonOutput,
    RegistrationConfig,
)
from contracts.registry import Model
from registry.domain.models import paths_of
from trainer.agents import comparison, dataset, export, preprocessing, training, validation
from trainer.domain.registration import registration_of

Make = Callable[..., Any]
_NOT_OF_THE_MODEL = {"training-1/model", "training-1/checkpoints", "training-2/checkpoints"}
_TRAINING = {"batch_size": 4, "logging_steps": 50, "save_steps": 100, "lora_r": 4}


@pytest.fixture
def swept(make_step: Make, assign: Make, put_dataset: Make) -> list[Any]:
    """What a sweep over the number of steps hands on, the nearest first: the last one has learnt the most."""
    words = [secrets.token_hex(3) for _ in range(60)]
    content = "question,answer\n" + "".join(f"Say {word}.,It is said again.\n" for word in words)
    data = dataset.run(assign(make_step("DatasetAgent", {"file_path": put_dataset(content)})))
    config = {"base_model": "tiny", "template_mapping": {"instruction": "question", "output": "answer"}}
    rows = preprocessing.run(assign(make_step("PreprocessingAgent", config, [data])))
    trained = []
    for number, (steps, rate) in enumerate(((1, 1e-5), (30, 1e-2)), start=1):
        step = make_step("TrainingAgent", _TRAINING | {"max_steps": steps, "learning_rate": rate}, [rows])
        step = step.model_copy(update={"agent_name": f"training-{number}"})
        trained.append(training.run(assign(step)))
    # The worse one is the nearest, so that taking the nearest would be wrong.
    return [*trained, rows, data]


def _compare(make_step: Make, assign: Make, inputs: list[Any], *models: Model, **config: Any) -> ComparisonOutput:
    asked = {"generation_rows": 2, "max_new_tokens": 4, "resamples": 200, **config}
    step = make_step("ComparisonAgent", asked, inputs)
    output: ComparisonOutput = comparison.run(replace(assign(step), models=models))
    return output


def test_models_of_a_sweep_are_ranked_and_what_follows_takes_the_best(
    make_step: Make, assign: Make, swept: list[Any], objects: Objects
) -> None:
    compared = _compare(make_step, assign, swept)
    assert [contestant.name for contestant in compared.ranking] == ["training-2", "training-1", "base tiny"]
    first, second, _ = compared.ranking
    assert (compared.best, compared.best_model_path) == ("training-2", swept[1].model_path)
    assert first.behind is None
    assert second.behind is not None
    assert second.behind.value == pytest.approx(second.score.value - first.score.value)
    assert 0 < second.behind.low <= second.behind.value <= second.behind.high
    assert first.score.low <= first.score.value <= first.score.high
    by_answers = _compare(make_step, assign, swept, metric="exact_match").ranking
    assert {contestant.score.value for contestant in by_answers} == {0}
    assert [contestant.name for contestant in by_answers] == ["training-2", "training-1", "base tiny"], "by loss then"
    report = json.loads(objects.get_bytes(S3Path.parse(compared.report_path)))
    assert len(report["rows"]) == compared.rows == swept[2].eval_rows
    assert set(report["rows"][0]["models"]) == {"training-1", "training-2", "base tiny"}

    exported = export.run(assign(make_step("ExportAgent", {"formats": ["adapter"]}, [compared, *swept])))
    (weights,) = [file.sha256 for file in exported.files if file.name == "adapter_model.safetensors"]
    place = S3Path.parse(swept[1].model_path) / "adapter_model.safetensors"
    assert weights == hashlib.sha256(objects.get_bytes(place)).hexdigest()
    validated = validation.run(assign(make_step("ValidationAgent", {}, [swept[-1]])))
    step = make_step("RegistrationAgent", {}, [exported, compared, *swept[:-1], validated, swept[-1]])
    request = registration_of(step, RegistrationConfig(aliases=["production"], tags=["swept"]))
    assert request.training_config["learning_rate"] == 1e-2
    assert (request.aliases, request.tags, request.deploy) == (["production"], ["swept"], True)
    assert [link.kind for link in request.lineage] == ["export", "training", "preprocessing", "dataset"]
    assert request.lineage[1].path == swept[1].model_path
    went_with_it = tuple(f"{path}/" for path in paths_of(request))
    run = S3Path("artifacts", step.run_id)
    left = {str(info.path) for info in objects.list(run) if not f"{info.path}/".startswith(went_with_it)}
    assert {path.removeprefix(f"{run}/").rsplit("/", 1)[0] for path in left} <= _NOT_OF_THE_MODEL


def test_a_registered_model_takes_part_and_when_it_is_best_there_is_nothing_to_export(
    make_step: Make, assign: Make, swept: list[Any]
) -> None:
    worse, better, rows, data = swept
    model = Model(
        model_id="model_1",
        run_id="earlier",
        model_name="champion",
        version=3,
        description="",
        base_model="tiny",
        dataset_id=None,
        training_config={},
        metrics={},
        exports={"adapter": better.model_path},
        chat_template=None,
        created_at=datetime.now(UTC),
    )
    compared = _compare(make_step, assign, [worse, rows, data], model, include_base=False)
    assert [contestant.name for contestant in compared.ranking] == ["champion@3", "training-1"]
    assert (compared.best_model_id, compared.best_model_path) == ("model_1", None)
    with pytest.raises(Refused, match="champion@3, which was not trained in this job") as refused:
        export.run(assign(make_step("ExportAgent", {}, [compared, worse, rows, data])))
    assert refused.value.code is RefusalCode.CONFIG_INVALID


def test_a_metric_that_the_rows_have_not_is_refused(make_step: Make, assign: Make, swept: list[Any]) -> None:
    with pytest.raises(Refused, match="cannot be compared by 'accuracy'") as refused:
        _compare(make_step, assign, swept, metric="accuracy")
    assert refused.value.metadata["errors"][0]["field"] == "metric"


def test_one_model_alone_is_no_comparison(make_step: Make, assign: Make, swept: list[Any]) -> None:
    with pytest.raises(Refused, match="needs two models at least"):
        _compare(make_step, assign, [swept[0], *swept[2:]], include_base=False)
