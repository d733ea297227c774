"""Models over the bus: entered once and told once, found, listed, described and handed out."""

import asyncio
import uuid
from typing import Any

import pytest

from common.bus import Bus
from common.database import Database
from common.objects import Objects, S3Path
from common.outbox import OutboxRelay
from common.service import Service, running
from contracts.base import RefusalCode, Refused
from contracts.registry import (
    GET_DOWNLOAD,
    GET_MODEL,
    GET_MODEL_CARD,
    LIST_MODELS,
    MODEL_REGISTERED,
    REGISTER_MODEL,
    GetDownload,
    GetModel,
    ListModels,
    Model,
    ModelRegistered,
    RegisterModel,
)
from registry.curves import Curves
from registry.engine.storage import ObjectStorage
from registry.freeing import Freeing
from registry.handlers import Deps, models
from registry.main import build
from registry.settings import Settings
from tests.registry.conftest import Enter, Export

pytestmark = pytest.mark.usefixtures("service")


async def refusal_of(question: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        await question
    return refused.value


async def told(router: Bus, model_id: str, until: float = 1.0) -> list[ModelRegistered]:
    """Every event of that model that is in the stream once nothing more has come for `until` seconds."""
    events: list[ModelRegistered] = []

    async def gather() -> None:
        async for delivered in router.follow(MODEL_REGISTERED, after=0):
            if delivered.body.model_id == model_id:
                events.append(delivered.body)  # noqa: PERF401 - what came is kept when it is cancelled

    gathering = asyncio.create_task(gather())
    await asyncio.sleep(until)
    gathering.cancel()
    await asyncio.gather(gathering, return_exceptions=True)
    return events


async def test_a_model_is_entered_and_told(export: Export, trainer: Bus, gateway: Bus, router: Bus) -> None:
    entry = export()
    model = await trainer.ask(REGISTER_MODEL, entry)
    assert model.model_id.startswith("model_")
    hidden = {"idempotency_key", "deploy", "lineage"}
    assert model.model_dump(include=set(RegisterModel.model_fields)) == entry.model_dump(exclude=hidden)
    assert await gateway.ask(GET_MODEL, GetModel(model_id=model.model_id)) == model
    assert await told(router, model.model_id) == [
        ModelRegistered(
            model_id=model.model_id,
            model_name=entry.model_name,
            base_model="tiny",
            exports=entry.exports,
            chat_template="{{ messages }}",
        )
    ]


async def test_a_repeated_registration_enters_and_tells_nothing_more(export: Export, trainer: Bus, router: Bus) -> None:
    entry = export()
    entered: list[Model] = [await trainer.ask(REGISTER_MODEL, entry)]
    entered += await asyncio.gather(*(trainer.ask(REGISTER_MODEL, entry) for _ in range(3)))
    assert {model.model_id for model in entered} == {entered[0].model_id}
    assert len(await told(router, entered[0].model_id)) == 1


async def test_registrations_at_once_enter_one_model(export: Export, trainer: Bus, router: Bus) -> None:
    entry = export()
    entered = await asyncio.gather(*(trainer.ask(REGISTER_MODEL, entry) for _ in range(8)))
    assert len({model.model_id for model in entered}) == 1
    assert len(await told(router, entered[0].model_id)) == 1


async def test_the_key_of_another_model_is_a_conflict(export: Export, trainer: Bus) -> None:
    entry = export()
    await trainer.ask(REGISTER_MODEL, entry)
    other = export(idempotency_key=entry.idempotency_key)
    assert (await refusal_of(trainer.ask(REGISTER_MODEL, other))).code is RefusalCode.CONFLICT


async def test_the_event_of_a_registry_that_died_after_its_commit_is_told_by_the_next(
    export: Export, settings: Settings, router: Bus, service: Service, objects: Objects
) -> None:
    """The model is entered with no relay running, as when the process is killed in between."""
    await service.stack.aclose()
    database = await Database.connect(settings.database_url.get_secret_value(), "registry", size=2)
    unused = OutboxRelay(database, router)
    storage = ObjectStorage(Service("registry", settings).object_store())
    freeing = Freeing(database, storage, router)
    deps = Deps(
        database=database,
        relay=unused,
        inspector=None,  # type: ignore[arg-type]
        storage=storage,
        bus=router,
        models_dir=settings.data_dir,
        freeing=freeing,
        curves=Curves(database, router),
    )
    model = await models.register_model(deps, export())
    await database.close()
    assert await told(router, model.model_id) == []
    async with running("registry", settings, build), running("registry", settings, build):
        assert len(await told(router, model.model_id, until=2.0)) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"exports": {"adapter": "s3://artifacts/nothing-here"}}, "exports.adapter"),
        ({"exports": {"merged": "s3://datasets/ds_a/file"}}, "exports.merged"),
        ({"exports": {"adapter": "s3://artifacts/"}}, "exports.adapter"),
        ({"exports": {"adapter": "s3://artifacts/a/../b"}}, "exports.adapter"),
        ({"description": "zero \0"}, "description"),
        ({"base_model": "zero \0"}, "base_model"),
    ],
)
async def test_a_model_that_cannot_be_served_is_refused_by_field(
    export: Export, trainer: Bus, changes: dict[str, Any], field: str
) -> None:
    refused = await refusal_of(trainer.ask(REGISTER_MODEL, export(**changes)))
    assert refused.code is RefusalCode.INVALID
    assert [error["field"] for error in refused.metadata["errors"]] == [field]


async def test_a_name_asks_for_its_newest_model(export: Export, trainer: Bus, gateway: Bus) -> None:
    name = f"named-{uuid.uuid4().hex[:8]}"
    older = await trainer.ask(REGISTER_MODEL, export(model_name=name))
    newer = await trainer.ask(REGISTER_MODEL, export(model_name=name))
    assert await gateway.ask(GET_MODEL, GetModel(model_id=name)) == newer
    assert await gateway.ask(GET_MODEL, GetModel(model_id=older.model_id)) == older


async def test_an_id_comes_before_a_name(export: Export, trainer: Bus, gateway: Bus) -> None:
    model = await trainer.ask(REGISTER_MODEL, export())
    await trainer.ask(REGISTER_MODEL, export(model_name=model.model_id))
    assert await gateway.ask(GET_MODEL, GetModel(model_id=model.model_id)) == model


async def test_models_are_listed_newest_first_and_by_base(export: Export, trainer: Bus, gateway: Bus) -> None:
    base = f"base/{uuid.uuid4().hex[:8]}"
    entered = [await trainer.ask(REGISTER_MODEL, export(base_model=base)) for _ in range(3)]
    await trainer.ask(REGISTER_MODEL, export())
    page = await gateway.ask(LIST_MODELS, ListModels(limit=2, base_model=base))
    assert [summary.model_id for summary in page.models] == [entered[2].model_id, entered[1].model_id]
    assert (page.total, page.has_more, page.models[0].exports) == (3, True, ["adapter"])
    rest = await gateway.ask(LIST_MODELS, ListModels(limit=2, offset=2, base_model=base))
    assert ([summary.model_id for summary in rest.models], rest.has_more) == ([entered[0].model_id], False)
    everything = await gateway.ask(LIST_MODELS, ListModels())
    assert everything.total >= 4
    for unheard_of in ("base/unheard-of", "zero\0"):
        assert (await gateway.ask(LIST_MODELS, ListModels(base_model=unheard_of))).models == []


async def test_a_card_describes_the_model_and_its_data(
    export: Export, enter: Enter, trainer: Bus, gateway: Bus
) -> None:
    dataset = await enter(f"text,label\n{uuid.uuid4()},1\n")
    model = await trainer.ask(REGISTER_MODEL, export(dataset_id=dataset.dataset_id))
    described = await gateway.ask(GET_MODEL_CARD, GetModel(model_id=model.model_name))
    assert described.model_id == model.model_id
    assert f"# {model.model_name}" in described.markdown
    assert f"`{dataset.filename}`" in described.markdown
    unknown = await trainer.ask(REGISTER_MODEL, export(dataset_id="ds_unknown00"))
    assert "`ds_unknown00`" in (await gateway.ask(GET_MODEL_CARD, GetModel(model_id=unknown.model_id))).markdown


async def test_a_download_lists_the_files_of_the_export_alone(export: Export, trainer: Bus, gateway: Bus) -> None:
    model = await trainer.ask(REGISTER_MODEL, export())
    download = await gateway.ask(GET_DOWNLOAD, GetDownload(model_id=model.model_id, format="adapter"))
    assert {file.name: file.size for file in download.files} == {
        name: len(name) for name in ("adapter_config.json", "adapter_model.safetensors", "tokenizer/vocab.json")
    }
    assert download.files[0].bucket == "artifacts"
    assert download.files[0].key == f"{model.run_id}/adapter/adapter_config.json"


async def test_an_export_may_be_a_single_object(export: Export, trainer: Bus, gateway: Bus, objects: Objects) -> None:
    entry = export()
    objects.put_bytes(S3Path("artifacts", f"{entry.run_id}/model.gguf"), b"GGUF")
    exports = {**entry.exports, "gguf": f"s3://artifacts/{entry.run_id}/model.gguf"}
    model = await trainer.ask(REGISTER_MODEL, entry.model_copy(update={"exports": exports}))
    download = await gateway.ask(GET_DOWNLOAD, GetDownload(model_id=model.model_id, format="gguf"))
    assert [(file.name, file.size) for file in download.files] == [("model.gguf", 4)]


async def test_an_export_that_was_not_made_or_is_gone_is_told_so(
    export: Export, trainer: Bus, gateway: Bus, objects: Objects
) -> None:
    model = await trainer.ask(REGISTER_MODEL, export())
    missing = await refusal_of(gateway.ask(GET_DOWNLOAD, GetDownload(model_id=model.model_id, format="gguf")))
    assert (missing.code, "adapter" in missing.message) == (RefusalCode.NOT_FOUND, True)
    objects.remove_prefix(S3Path("artifacts", model.run_id))
    gone = await refusal_of(gateway.ask(GET_DOWNLOAD, GetDownload(model_id=model.model_id)))
    assert gone.code is RefusalCode.STORAGE_FAILED


@pytest.mark.parametrize("nobody", ["nobody", "", "zero\0"])
async def test_an_unknown_model_is_told_so(gateway: Bus, nobody: str) -> None:
    for question in (
        gateway.ask(GET_MODEL, GetModel(model_id=nobody)),
        gateway.ask(GET_MODEL_CARD, GetModel(model_id=nobody)),
        gateway.ask(GET_DOWNLOAD, GetDownload(model_id=nobody)),
    ):
        assert (await refusal_of(question)).code is RefusalCode.NOT_FOUND


async def test_a_store_that_is_away_makes_a_registration_wait_its_turn(
    export: Export, trainer: Bus, settings: Settings, service: Service
) -> None:
    await service.stack.aclose()
    async with running("registry", settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"}), build):
        refused = await refusal_of(trainer.ask(REGISTER_MODEL, export()))
    assert refused.code is RefusalCode.UNAVAILABLE
