"""What is shown of models: the plot of their losses, where they came from, what sets two apart, and words."""

import xml.etree.ElementTree as ET  # what is read is our own
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.bus import Bus, Handlers
from common.database import Database
from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import GET_METRICS, GetMetrics, MetricSeries, RunMetrics
from contracts.pipeline import ExportCheck, ExportedFile
from contracts.registry import (
    COMPARE_MODELS,
    GET_DOWNLOAD,
    GET_LINEAGE,
    GET_LOSS_PLOT,
    GET_MODEL_CARD,
    LIST_MODELS,
    REGISTER_MODEL,
    UPDATE_MODEL,
    CompareModels,
    GetDownload,
    GetModel,
    LineageStep,
    ListModels,
    UpdateModel,
)
from registry.curves import Curves
from registry.domain.plots import Point, plot, thinned
from registry.settings import Settings
from tests.registry.conftest import Access, Enter, Export

pytestmark = pytest.mark.usefixtures("service")
SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Logs:
    """The logs of runs, as the orchestrator keeps them."""

    series: dict[str, list[MetricSeries]] = field(default_factory=dict)

    def trained(self, run_id: str, *losses: float, agent: str = "training") -> None:
        points: list[dict[str, int | float]] = []
        for step, loss in enumerate(losses, start=1):
            points.append({"step": step, "loss": loss})
            points += [{"step": step, "eval_loss": loss + 0.1}] if step % 2 == 0 else []
        self.series.setdefault(run_id, []).append(MetricSeries(agent="TrainingAgent", agent_name=agent, points=points))


ANSWERS = Handlers[Logs]()


@ANSWERS.on(GET_METRICS)
async def get_metrics(logs: Logs, request: GetMetrics) -> RunMetrics:
    if request.run_id not in logs.series:
        raise Refused(RefusalCode.NOT_FOUND, "There is no such run")
    found = [one for one in logs.series[request.run_id] if request.agent in (one.agent, one.agent_name)]
    return RunMetrics(run_id=request.run_id, series=found)


@pytest.fixture
async def logs(access: Access) -> AsyncIterator[Logs]:
    bus = await Bus.connect(ServiceSettings(**access("orchestrator")), "orchestrator")
    logs = Logs()
    await bus.serve(ANSWERS, logs)
    yield logs
    await bus.close()


async def test_the_losses_of_a_training_are_drawn_and_kept(
    export: Export, trainer: Bus, gateway: Bus, logs: Logs
) -> None:
    model = await trainer.ask(REGISTER_MODEL, export())
    logs.trained(model.run_id, 3.0, 2.0, 1.5, 1.25)
    svg = (await gateway.ask(GET_LOSS_PLOT, GetModel(model_id=model.model_id))).svg
    lines = ET.fromstring(svg).findall(f"{SVG}polyline")  # noqa: S314 - our own
    assert [len(line.get("points", "").split()) for line in lines] == [4, 2]
    heights = [float(place.split(",")[1]) for place in lines[0].get("points", "").split()]
    assert heights == sorted(heights), "a loss that falls goes down"
    logs.series.clear()
    card = (await gateway.ask(GET_MODEL_CARD, GetModel(model_id=model.model_id))).markdown
    assert f"/api/v1/models/{model.model_id}/loss.svg" in card
    assert "| 4 | 1.25 | 1.35 |" in card


async def test_a_result_that_was_used_again_shows_the_losses_of_the_run_it_came_from(
    export: Export, trainer: Bus, gateway: Bus, logs: Logs
) -> None:
    step = LineageStep(kind="training", name="t", path="s3://artifacts/earlier-run/training/model")
    model = await trainer.ask(REGISTER_MODEL, export(lineage=[step]))
    logs.trained("earlier-run", 2.0, 1.0)
    assert "polyline" in (await gateway.ask(GET_LOSS_PLOT, GetModel(model_id=model.model_id))).svg


async def test_of_a_sweep_the_losses_of_the_one_that_was_registered_are_shown(
    export: Export, trainer: Bus, gateway: Bus, logs: Logs
) -> None:
    step = LineageStep(kind="training", name="t", path="s3://artifacts/a-sweep/training-2/model")
    model = await trainer.ask(REGISTER_MODEL, export(lineage=[step]))
    logs.trained("a-sweep", 3.0, 1.5, agent="training-2")
    logs.trained("a-sweep", 9.0, 8.0, 7.0, agent="training-1")
    card = (await gateway.ask(GET_MODEL_CARD, GetModel(model_id=model.model_id))).markdown
    assert "| 1 | 3 |  |" in card
    assert "| 2 | 1.5 | 1.6 |" in card
    assert "| 3 | 7" not in card


async def test_losses_that_nobody_has_asked_for_are_kept_before_their_log_goes(
    export: Export, trainer: Bus, gateway: Bus, logs: Logs, settings: Settings
) -> None:
    model, without = [await trainer.ask(REGISTER_MODEL, export()) for _ in range(2)]
    logs.trained(model.run_id, 2.0, 1.0)
    database = await Database.connect(settings.database_url.get_secret_value(), "registry", size=2)
    curves = Curves(database, gateway)
    await curves.keep_all_waiting()
    async with database.connection() as connection:
        ids = [model.model_id, without.model_id]
        await connection.execute(
            "UPDATE models SET created_at = now() - interval '2 days' WHERE model_id = ANY ($1::text[])", ids
        )
    assert [await curves.keep_waiting() for _ in range(2)] == [2, 0]
    await database.close()
    logs.series.clear()
    assert "polyline" in (await gateway.ask(GET_LOSS_PLOT, GetModel(model_id=model.model_id))).svg
    with pytest.raises(Refused, match="No losses were recorded"):
        await gateway.ask(GET_LOSS_PLOT, GetModel(model_id=without.model_id))


async def test_without_losses_there_is_no_plot_and_a_card_all_the_same(
    export: Export, trainer: Bus, gateway: Bus, logs: Logs
) -> None:
    model = await trainer.ask(REGISTER_MODEL, export())
    with pytest.raises(Refused) as refused:
        await gateway.ask(GET_LOSS_PLOT, GetModel(model_id=model.model_id))
    assert refused.value.code is RefusalCode.NOT_FOUND
    assert "loss.svg" not in (await gateway.ask(GET_MODEL_CARD, GetModel(model_id=model.model_id))).markdown


def test_a_plot_escapes_its_title_and_takes_any_losses() -> None:
    for losses in ([0.0], [5.0, 5.0], [1e-9, 1e9], [-1.0, 2.0]):
        points = [Point(index, loss) for index, loss in enumerate(losses)]
        ET.fromstring(plot(points, "<b>&"))  # noqa: S314 - our own
    many = [Point(index, 1.0, 1.0 if index == 7 else None) for index in range(10_000)]
    kept = thinned(many)
    assert len(kept) <= 505
    assert {kept[0].step, 7, kept[-1].step} <= {point.step for point in kept}


async def test_lineage_leads_from_the_alias_back_to_the_file(
    export: Export, enter: Enter, trainer: Bus, gateway: Bus
) -> None:
    dataset = await enter("text,label\nhello,1\n")
    told = [
        LineageStep(kind="training", name="training", path="s3://artifacts/r/training/model", details={"steps": 6}),
        LineageStep(kind="preprocessing", name="preprocessing", details={"train_rows": 1}),
    ]
    entry = export(dataset_id=dataset.dataset_id, lineage=told, aliases=["production"])
    model = await trainer.ask(REGISTER_MODEL, entry)
    steps = (await gateway.ask(GET_LINEAGE, GetModel(model_id=f"{model.model_name}@production"))).steps
    assert [step.kind for step in steps] == ["served", "model", "training", "preprocessing", "file"]
    assert steps[1].name == f"{model.model_name}@1"
    assert (steps[-1].path, steps[-1].details["sha256"]) == (dataset.s3_path, dataset.sha256)


async def test_two_models_are_compared_by_what_sets_them_apart(export: Export, trainer: Bus, gateway: Bus) -> None:
    worse = await trainer.ask(REGISTER_MODEL, export(metrics={"eval_loss": 2.0, "accuracy": 0.5, "old": 1.0}))
    config = {"method": "lora", "lora_r": 16}
    better = await trainer.ask(
        REGISTER_MODEL, export(metrics={"eval_loss": 1.5, "accuracy": 0.75}, training_config=config)
    )
    compared = await gateway.ask(COMPARE_MODELS, CompareModels(model_id=worse.model_id, other_id=better.model_id))
    by_name = {metric.name: metric for metric in compared.metrics}
    assert (by_name["eval_loss"].change, by_name["eval_loss"].better) == (-0.5, better.model_id)
    assert (by_name["accuracy"].change, by_name["accuracy"].better) == (0.25, better.model_id)
    assert (by_name["old"].values, by_name["old"].better) == ((1.0, None), None)
    assert [(d.name, d.values) for d in compared.training_config] == [("lora_r", (8, 16))]
    assert {difference.name for difference in compared.other} == {"run_id", "exports"}
    same = await gateway.ask(COMPARE_MODELS, CompareModels(model_id=worse.model_id, other_id=worse.model_id))
    assert (same.training_config, same.other, {metric.better for metric in same.metrics}) == ([], [], {None})


async def test_descriptions_and_tags_change_and_models_are_found_by_them(
    export: Export, trainer: Bus, gateway: Bus
) -> None:
    model = await trainer.ask(REGISTER_MODEL, export(tags=["team:docs"]))
    changed = await gateway.ask(UPDATE_MODEL, UpdateModel(model_id=model.model_id, tags=["reviewed", "reviewed"]))
    assert (changed.tags, changed.description) == (["reviewed"], "A test")
    described = await gateway.ask(UPDATE_MODEL, UpdateModel(model_id=model.model_id, description="Better"))
    assert (described.tags, described.description) == (["reviewed"], "Better")

    async def found(**filters: Any) -> list[str]:
        page = await gateway.ask(LIST_MODELS, ListModels(model_name=model.model_name, **filters))
        return [summary.model_id for summary in page.models]

    for filters in ({"tag": "reviewed"}, {"run_id": model.run_id}, {"format": "adapter"}, {"deployed": True}):
        assert await found(**filters) == [model.model_id], filters
    for filters in ({"tag": "team:docs"}, {"run_id": "other"}, {"format": "gguf"}, {"alias": "production"}):
        assert await found(**filters) == [], filters


async def test_files_are_handed_out_with_the_checksums_they_were_written_with(
    export: Export, trainer: Bus, gateway: Bus
) -> None:
    file = ExportedFile(format="adapter", name="adapter_config.json", size=19, sha256="ab" * 32)
    check = ExportCheck(format="gguf", quantization="Q8_0", positions=256, top1_agreement=0.99)
    model = await trainer.ask(REGISTER_MODEL, export(files=[file], checks=[check]))
    download = await gateway.ask(GET_DOWNLOAD, GetDownload(model_id=model.model_id))
    assert {file.name: file.sha256 for file in download.files} == {
        "adapter_config.json": "ab" * 32,
        "adapter_model.safetensors": None,
        "tokenizer/vocab.json": None,
    }
    assert (
        "| `gguf` | Q8_0 | 99.00% |" in (await gateway.ask(GET_MODEL_CARD, GetModel(model_id=model.model_id))).markdown
    )
