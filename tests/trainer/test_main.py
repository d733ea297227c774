"""The trainer as a service: a whole pipeline through its real child process, from an uploaded file to a model."""

import secrets
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.bus import Bus, Handlers
from common.objects import Objects, S3Path
from common.service import Service, running
from common.settings import ServiceSettings
from contracts import registry
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import StepFailed, StepSucceeded
from contracts.pipeline import AgentOutput, RegistrationOutput, TrainingOutput
from embedded.endpoints import Endpoints
from trainer.main import build
from trainer.settings import Settings

HANDLERS = Handlers[dict[str, Any]]()
_ANALYSIS = registry.DatasetAnalysis(
    rows=0, columns=[], column_types={}, text_column=None, stats=None, missing={}, duplicate_rows=0
)


@HANDLERS.on(registry.GET_DATASET)
async def get_dataset(known: dict[str, Any], request: registry.GetDataset) -> registry.Dataset:
    if request.dataset_id not in known:
        raise Refused(RefusalCode.NOT_FOUND, f"There is no data set {request.dataset_id}")
    dataset: registry.Dataset = known[request.dataset_id]
    return dataset


@HANDLERS.on(registry.REGISTER_MODEL)
async def register_model(known: dict[str, Any], request: registry.RegisterModel) -> registry.Model:
    known["model"] = request
    fields = request.model_dump(include=set(registry.Model.model_fields))
    return registry.Model(model_id="model_1", created_at=datetime.now(UTC), **fields)


@pytest.fixture
async def known(servers: Endpoints) -> AsyncIterator[dict[str, Any]]:
    """What a scripted registry knows, and is told."""
    access = servers["registry"]
    bus = await Bus.connect(
        ServiceSettings(nats_url=access.nats_url, nats_user=access.nats_user, nats_password=access.nats_password),
        "registry",
    )
    known: dict[str, Any] = {}
    await bus.serve(HANDLERS, known)
    yield known
    await bus.close()


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Service]:
    async with running("trainer", settings, build) as service:
        yield service


def _left_in(work_dir: Path) -> list[Path]:
    return list(work_dir.glob("worker-*/*/*"))


def _uploaded(path: str) -> registry.Dataset:
    return registry.Dataset(
        dataset_id="ds_12345678",
        filename="data.csv",
        format="csv",
        size_bytes=1,
        sha256="0",
        s3_path=path,
        rows=0,
        columns=[],
        analysis=_ANALYSIS,
        created_at=datetime.now(UTC),
    )


async def test_a_file_becomes_a_registered_model(
    service: Service,
    settings: Settings,
    script: Any,
    known: dict[str, Any],
    make_step: Callable[..., Any],
    put_dataset: Callable[..., str],
    objects: Objects,
    run_id: str,
    log_of: Any,
) -> None:
    rows = "".join(f"What is {secrets.token_hex(6)}?,It is number {n} of many.\n" for n in range(40))
    known["ds_12345678"] = _uploaded(put_dataset("question,answer\n" + rows))
    mapping = {"instruction": "question", "output": "answer"}
    pipeline: list[tuple[str, dict[str, Any]]] = [
        ("DatasetAgent", {"dataset_id": "ds_12345678"}),
        ("ValidationAgent", {"required_columns": ["question", "answer"]}),
        ("PreprocessingAgent", {"base_model": "tiny", "template_mapping": mapping}),
        ("TrainingAgent", {"max_steps": 4, "batch_size": 2, "save_steps": 1, "logging_steps": 1}),
        ("EvaluationAgent", {"generate_samples": 1, "max_new_tokens": 4}),
        ("ExportAgent", {"formats": ["adapter"]}),
        ("RegistrationAgent", {"model_name": "answers"}),
    ]
    outputs: list[AgentOutput] = []
    for agent_class, config in pipeline:
        script.ready.append(step := make_step(agent_class, config, outputs))
        result = await script.outcome(step, within=90)
        assert isinstance(result, StepSucceeded), result
        outputs.insert(0, result.output)

    assert outputs[0] == RegistrationOutput(model_id="model_1", model_name="answers")
    model: registry.RegisterModel = known["model"]
    assert model.idempotency_key == f"{run_id}/registration"
    assert model.dataset_id == "ds_12345678"
    assert {"final_loss", "eval_loss", "base_loss", "perplexity", "token_accuracy"} <= set(model.metrics)
    assert objects.stat(S3Path.parse(model.exports["adapter"]) / "adapter_model.safetensors").size > 0
    assert objects.list(S3Path("artifacts", f"{run_id}/training/checkpoints/")) == []
    assert _left_in(settings.work_dir) == []

    records = await log_of(run_id, 20)
    assert {"DatasetAgent", "ValidationAgent", "PreprocessingAgent", "TrainingAgent"} <= {r.agent for r in records}
    assert any(record.level == "METRIC" and record.loss is not None for record in records)

    # The same training again, in a run of its own, is not run again.
    inputs = [output for output in outputs if output.kind in ("PreprocessingAgent", "DatasetAgent")]
    script.ready.append(step := make_step("TrainingAgent", pipeline[3][1], inputs, agent_name="again"))
    result = await script.outcome(step, within=20)
    assert isinstance(result.output, TrainingOutput)
    assert result.output.model_path == f"s3://artifacts/{run_id}/training/model"
    assert await service.readiness() == {"nats": "ok", "postgres": "ok"}


async def test_a_data_set_that_the_registry_does_not_know_fails_the_step(
    service: Service, script: Any, known: dict[str, Any], make_step: Callable[..., Any]
) -> None:
    script.ready.append(step := make_step("DatasetAgent", {"dataset_id": "ds_unknown99"}))
    result = await script.outcome(step, within=60)
    assert isinstance(result, StepFailed)
    assert (result.code, result.retryable) == ("NOT_FOUND", False)
