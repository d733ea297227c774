"""Training, evaluation and export as agents: artifacts in and out of the object store, checkpoints, registration."""

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused
from contracts.pipeline import (
    AGENT_CONFIGS,
    AgentOutput,
    DatasetOutput,
    EvaluationOutput,
    ExportOutput,
    LearningRateChange,
    PreprocessingOutput,
    RegistrationConfig,
    Sample,
    TrainingOutput,
)
from trainer.agents import dataset, evaluation, export, preprocessing, training
from trainer.agents.table import AGENTS
from trainer.domain.registration import registration_of

Make = Callable[..., Any]
_TRAINING = {"max_steps": 6, "batch_size": 2, "save_steps": 2, "logging_steps": 2, "lora_r": 4}


@pytest.fixture
def rows(make_step: Make, assign: Make, put_dataset: Make) -> tuple[DatasetOutput, PreprocessingOutput]:
    words = [secrets.token_hex(4) for _ in range(40)]
    content = "question,answer\n" + "".join(f"What is {word} number {n}?,It is {n}.\n" for n, word in enumerate(words))
    data = dataset.run(assign(make_step("DatasetAgent", {"file_path": put_dataset(content)})))
    config = {"base_model": "tiny", "template_mapping": {"instruction": "question", "output": "answer"}}
    return data, preprocessing.run(assign(make_step("PreprocessingAgent", config, [data])))


@pytest.fixture
def trained(
    make_step: Make, assign: Make, rows: tuple[DatasetOutput, PreprocessingOutput]
) -> tuple[TrainingOutput, list[AgentOutput]]:
    inputs: list[AgentOutput] = [rows[1], rows[0]]
    output = training.run(assign(make_step("TrainingAgent", _TRAINING, inputs)))
    return output, [output, *inputs]


def _names(objects: Objects, prefix: str) -> set[str]:
    place = S3Path.parse(prefix)
    return {info.path.key.removeprefix(place.key + "/") for info in objects.list(place / "")}


def test_every_agent_class_has_its_agent() -> None:
    assert set(AGENTS) | {"RegistrationAgent"} == set(AGENT_CONFIGS)


def test_training_evaluation_and_export_hand_on_artifacts(
    make_step: Make,
    assign: Make,
    trained: tuple[TrainingOutput, Sequence[AgentOutput]],
    objects: Objects,
    journal: Any,
    run_id: str,
) -> None:
    output, inputs = trained
    assert output.model_path == f"s3://artifacts/{run_id}/training/model"
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= _names(objects, output.model_path)
    assert (output.steps, output.base_model, output.resumed_from_step) == (6, "tiny", 0)
    assert any("loss" in numbers and "step" in numbers for numbers in journal.numbers)

    measured = evaluation.run(
        assign(make_step("EvaluationAgent", {"generate_samples": 2, "max_new_tokens": 4}, inputs))
    )
    assert measured.rows > 0
    assert measured.loss > 0
    assert len(measured.samples) == 2

    exported = export.run(assign(make_step("ExportAgent", {"formats": ["adapter", "merged"]}, inputs)))
    assert exported.exports == {
        "adapter": f"s3://artifacts/{run_id}/export/adapter",
        "merged": f"s3://artifacts/{run_id}/export/merged",
    }
    adapter = S3Path.parse(exported.exports["adapter"])
    config = json.loads(objects.get_bytes(adapter / "adapter_config.json"))
    assert config["base_model_name_or_path"] == "tiny"
    assert "model.safetensors" in _names(objects, exported.exports["merged"])
    assert exported.size_bytes > 0


def test_training_goes_on_from_its_last_checkpoint(
    make_step: Make,
    assign: Make,
    rows: tuple[DatasetOutput, PreprocessingOutput],
    objects: Objects,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = make_step("TrainingAgent", _TRAINING, [rows[1]])
    first = assign(step)
    log = first.progress.log

    def dies_at_step_five(level: str, message: str, **numbers: float) -> None:
        if numbers.get("step", 0) >= 5:
            raise ConnectionError("the machine went away")
        log(level, message, **numbers)

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(first.progress, "log", dies_at_step_five)
        training.run(first)
    checkpoints = _names(objects, f"s3://artifacts/{run_id}/training/checkpoints")
    assert {"step-2/manifest.json", "step-4/manifest.json"} <= checkpoints
    again = training.run(assign(step.model_copy(update={"step_id": step.step_id + 1, "attempt": 2})))
    assert (again.resumed_from_step, again.steps) == (4, 6)


def test_rows_prepared_for_another_model_are_refused(
    make_step: Make, assign: Make, rows: tuple[DatasetOutput, PreprocessingOutput]
) -> None:
    with pytest.raises(Refused, match="prepared for 'tiny'") as refused:
        training.run(assign(make_step("TrainingAgent", {"base_model": "begins"}, [rows[1]])))
    assert refused.value.code is RefusalCode.CONFIG_INVALID


@pytest.mark.parametrize(
    ("agent_class", "needed"),
    [
        ("TrainingAgent", "PreprocessingAgent"),
        ("EvaluationAgent", "PreprocessingAgent"),
        ("ExportAgent", "TrainingAgent"),
    ],
)
def test_an_agent_says_which_one_it_needs_before_it(
    make_step: Make, assign: Make, agent_class: str, needed: str
) -> None:
    with pytest.raises(Refused, match=f"{agent_class} needs a {needed} before it") as refused:
        AGENTS[agent_class](assign(make_step(agent_class)))
    assert refused.value.code is RefusalCode.CONFIG_INVALID


def _evaluated() -> EvaluationOutput:
    return EvaluationOutput(
        rows=4,
        tokens=40,
        loss=1.5,
        perplexity=4.5,
        token_accuracy=0.6,
        base_loss=3.0,
        base_perplexity=float("inf"),
        base_token_accuracy=0.2,
    )


def test_the_registry_is_told_all_that_is_known(
    make_step: Make, trained: tuple[TrainingOutput, Sequence[AgentOutput]], run_id: str
) -> None:
    output, inputs = trained
    exported = ExportOutput(exports={"adapter": "s3://artifacts/r/export/adapter"}, size_bytes=1)
    step = make_step("RegistrationAgent", {}, [exported, _evaluated(), *inputs])
    request = registration_of(step, RegistrationConfig(description="mine"))
    assert request.idempotency_key == f"{run_id}/registration"
    assert (request.model_name, request.base_model, request.description) == (run_id, "tiny", "mine")
    assert (request.training_config["lora_r"], "learning_rate_changes" in request.training_config) == (4, False)
    slower = LearningRateChange(step=3, previous=2e-4, learning_rate=1e-4, by="ada", at=datetime.now(UTC))
    adjusted = output.model_copy(update={"learning_rate_changes": [slower]})
    told = registration_of(make_step("RegistrationAgent", {}, [exported, adjusted, *inputs]), RegistrationConfig())
    assert told.training_config["learning_rate_changes"][0]["learning_rate"] == 1e-4
    assert request.metrics == {
        "first_loss": output.first_loss,
        "final_loss": output.final_loss,
        "eval_loss": 1.5,
        "perplexity": 4.5,
        "token_accuracy": 0.6,
        "base_loss": 3.0,
        "base_token_accuracy": 0.2,
    }
    assert request.chat_template is not None
    assert "### Instruction:" in request.chat_template


@pytest.mark.parametrize(("count", "length"), [(1, 2000), (12, 2000), (64, 390)])
def test_of_many_samples_less_travels_on(count: int, length: int) -> None:
    sample = Sample(prompt="p" * 5000, reference="r" * 5000, base_answer="short", answer="")
    shown = evaluation.shortened([sample] * count)
    assert [(len(one.prompt), one.base_answer, one.answer) for one in shown] == [(length, "short", "")] * count


def test_registration_needs_an_export(make_step: Make, trained: tuple[TrainingOutput, Sequence[AgentOutput]]) -> None:
    with pytest.raises(Refused, match="RegistrationAgent needs an ExportAgent before it"):
        registration_of(make_step("RegistrationAgent", {}, trained[1]), RegistrationConfig())
