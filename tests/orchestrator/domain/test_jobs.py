"""Jobs as they are told apart and shown."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.base import RefusalCode, Refused
from contracts.pipeline import PipelineConfig, TrainingConfig, TrainingOutput
from orchestrator.domain.jobs import JobRecord, JobStep, check_same, job, progress, status
from orchestrator.domain.records import Submission

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
NODE = {"agent_name": "a", "agent_class": "DatasetAgent"}


def record(definition: dict[str, Any], *steps: JobStep, **fields: Any) -> JobRecord:
    values: dict[str, Any] = {"run_id": "r", "owner": "ada", "status": "active", "paused": False, "resumes": None}
    moments: dict[str, Any] = {"error": None, "created_at": MOMENT, "finished_at": None}
    return JobRecord(**{**values, **moments, **fields}, definition=definition, steps=steps)


def step(name: str, **fields: Any) -> JobStep:
    values: dict[str, Any] = {"position": 0, "kind": "DatasetAgent", "status": "completed", "attempt": 1}
    rest: dict[str, Any] = {"started_at": MOMENT, "finished_at": MOMENT, "output": None, "cached": False}
    return JobStep(name=name, **{**values, **rest, **fields})


def submission(definition: dict[str, Any], owner: str = "ada") -> Submission:
    return Submission("job", "r", owner, None, definition, {}, None)


def test_a_job_is_the_same_though_an_earlier_version_wrote_it_down() -> None:
    written = PipelineConfig.model_validate({"nodes": [NODE]}).model_dump(mode="json")
    check_same(record({"nodes": [NODE]}), submission(written))


@pytest.mark.parametrize(
    ("kept", "owner"),
    [({"nodes": [{**NODE, "config": {"format": "csv"}}]}, "ada"), ({"nodes": [NODE]}, "bob"), ({"prompt": "?"}, "ada")],
)
def test_another_job_or_a_run_of_another_kind_under_its_id_is_a_conflict(kept: dict[str, Any], owner: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_same(record(kept), submission({"nodes": [NODE]}, owner))
    assert refusal.value.code is RefusalCode.CONFLICT


def test_a_job_that_an_earlier_version_took_is_shown_though_nobody_may_ask_for_it_now() -> None:
    config = {"base_model": "https://huggingface.co/gpt2", "max_steps": 3_000_000_000}
    trained = TrainingOutput(
        base_model=config["base_model"],
        method="lora",
        config=TrainingConfig.model_validate(config),
        model_path="s3://b/k",
        steps=1,
        epochs=1,
        first_loss=1,
        final_loss=1,
        tokens=1,
        seconds=1,
        resumed_from_step=0,
    )
    node = {"agent_name": "t", "agent_class": "TrainingAgent", "config": config}
    definition = {"nodes": [node], "global_config": {"base_model": "../models/gpt2"}}
    done = step("t", kind="TrainingAgent", output=trained.model_dump(mode="json"))
    assert job(record(definition, done, status="completed")).result == {"t": trained}


def test_what_was_there_from_the_start_is_no_beginning() -> None:
    there, waiting = step("a", attempt=0), step("b", status="ready", attempt=0, started_at=None, finished_at=None)
    assert status(record({}, there, waiting)) == "pending"
    assert status(record({}, there, waiting, paused=True)) == "paused"
    shown = progress([there, step("b", position=1, cached=True), step("c", position=2)])
    assert (shown.completed_agents, shown.cached_agents, shown.percent) == (["a", "b", "c"], ["a", "b"], 100)
