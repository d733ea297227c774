"""Deleting models: what nobody uses goes, with its objects, and with nothing of another model's."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from common.bus import Bus, Handlers
from common.objects import Objects, ObjectStore, S3Path
from common.service import Service, running
from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    FIND_JOBS_COMPARING,
    FIND_PATHS_IN_USE,
    FindJobsComparing,
    FindPathsInUse,
    JobsComparing,
    PathsInUse,
)
from contracts.registry import (
    DELETE_MODEL,
    DEPLOY_MODEL,
    GET_MODEL,
    REGISTER_MODEL,
    SET_ALIAS,
    DeleteModel,
    DeployModel,
    GetModel,
    LineageStep,
    ModelFile,
    RegisterModel,
    SetAlias,
)
from registry.engine.storage import ObjectStorage
from registry.freeing import Freed, Freeing
from registry.main import build
from registry.settings import Settings
from tests.registry.conftest import Access, Export

pytestmark = pytest.mark.usefixtures("service")

_JOBS = Handlers[set[str]]()


@_JOBS.on(FIND_PATHS_IN_USE)
async def _find(used: set[str], request: FindPathsInUse) -> PathsInUse:
    return PathsInUse(paths=[path for path in request.paths if path in used])


@_JOBS.on(FIND_JOBS_COMPARING)
async def _find_comparing(used: set[str], request: FindJobsComparing) -> JobsComparing:
    return JobsComparing(job_ids=["job_that_compares"] if used & set(request.models) else [])


@pytest.fixture(autouse=True)
async def used(access: Access) -> AsyncIterator[set[str]]:
    """The paths that jobs which go on read, and the models that they name: a test adds to them."""
    bus = await Bus.connect(ServiceSettings(**access("orchestrator")), "orchestrator")
    paths: set[str] = set()
    await bus.serve(_JOBS, paths)
    yield paths
    await bus.close()


async def code_of(question: Any) -> RefusalCode:
    with pytest.raises(Refused) as refused:
        await question
    return refused.value.code


def left(objects: Objects, run_id: str) -> set[str]:
    return {info.path.key.removeprefix(f"{run_id}/") for info in objects.list(S3Path("artifacts", f"{run_id}/"))}


def with_rows(entry: RegisterModel, objects: Objects) -> RegisterModel:
    """The entry with all that its run left besides the export: six files, of six bytes together."""
    run = S3Path("artifacts", entry.run_id)
    rows = ("preparing/train", "preparing/eval", "preparing/tokens/train")
    names = ("training/model/weights", "evaluation/rows", *rows, "dataset/data")
    for name in names:
        objects.put_bytes(run / name, b"1")
    told = [
        LineageStep(kind="evaluation", name="e", path=f"{run}/evaluation/rows"),
        LineageStep(kind="training", name="t", path=f"{run}/training/model"),
        LineageStep(
            kind="preprocessing",
            name="p",
            path=f"{run}/preparing/train",
            details={"eval_path": f"{run}/preparing/eval", "tokens_path": f"{run}/preparing/tokens"},
        ),
        LineageStep(kind="dataset", name="d", path=f"{run}/dataset/data"),
    ]
    return entry.model_copy(update={"lineage": told})


async def test_what_a_deleted_model_had_is_free(export: Export, trainer: Bus, gateway: Bus, objects: Objects) -> None:
    entry = with_rows(export(), objects)
    model = await trainer.ask(REGISTER_MODEL, entry)
    size = sum(len(name) for name in ("adapter_config.json", "adapter_model.safetensors", "tokenizer/vocab.json"))
    deleted = await gateway.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id))
    assert (deleted.freed_bytes, deleted.pending) == (size + 6, False)
    assert left(objects, entry.run_id) == {"adapter-of-another/file"}
    for reference in (model.model_id, model.model_name, f"{model.model_name}@1"):
        assert await code_of(gateway.ask(GET_MODEL, GetModel(model_id=reference))) is RefusalCode.NOT_FOUND
    again = gateway.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id))
    assert await code_of(again) is RefusalCode.NOT_FOUND


async def test_what_another_model_shares_stays_until_the_last_goes(
    export: Export, trainer: Bus, gateway: Bus, objects: Objects
) -> None:
    entry = export()
    first = await trainer.ask(REGISTER_MODEL, entry)
    second = await trainer.ask(REGISTER_MODEL, entry.model_copy(update={"idempotency_key": uuid.uuid4().hex}))
    assert (await gateway.ask(DELETE_MODEL, DeleteModel(model_id=first.model_id))).freed_bytes == 0
    assert len(left(objects, entry.run_id)) == 4
    assert (await gateway.ask(DELETE_MODEL, DeleteModel(model_id=second.model_id))).freed_bytes > 0
    assert len(left(objects, entry.run_id)) == 1


async def test_rows_that_a_job_still_reads_stay_until_it_ends_or_has_made_a_model_of_them(
    used: set[str], export: Export, trainer: Bus, gateway: Bus, objects: Objects, settings: Settings, service: Service
) -> None:
    """Jobs reuse what earlier ones prepared: one must not fail since a model of the other was deleted."""
    entries = [with_rows(export(), objects) for _ in range(2)]
    for entry in entries:
        used.add(f"s3://artifacts/{entry.run_id}/preparing/train")
        model = await trainer.ask(REGISTER_MODEL, entry)
        deleted = await gateway.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id))
        assert (deleted.freed_bytes > 0, deleted.pending) == (True, True)
        assert left(objects, entry.run_id) == {"preparing/train", "adapter-of-another/file"}
    (first, second), later = entries, export()
    (rows,) = [step for step in first.lineage if step.kind == "preprocessing"]
    await trainer.ask(REGISTER_MODEL, later.model_copy(update={"lineage": [rows]}))
    used.clear()
    await service.stack.aclose()
    async with running("registry", settings, build), asyncio.timeout(20):
        while len(left(objects, second.run_id)) > 1:  # noqa: ASYNC110 - nothing tells when it is done
            await asyncio.sleep(0.05)
    assert "preparing/train" in left(objects, first.run_id), "a model was made of them meanwhile"


class Dying(ObjectStorage):
    """Its process dies when it has removed `after` files."""

    after = 0

    async def remove_files(self, files: Iterable[ModelFile]) -> None:
        await super().remove_files(list(files)[: self.after])
        raise Refused(RefusalCode.STORAGE_FAILED, "killed")


@pytest.mark.parametrize("after", [0, 1])
async def test_what_a_killed_process_left_whole_stays_for_a_job_that_found_it_since(
    after: int,
    used: set[str],
    export: Export,
    trainer: Bus,
    gateway: Bus,
    service: Service,
    objects: Objects,
) -> None:
    entry = export()
    path = entry.exports["adapter"]
    model = await trainer.ask(REGISTER_MODEL, entry)
    used.add(path)
    assert (await gateway.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id))).pending
    used.clear()
    database = await service.database("registry")
    storage = Dying(service.object_store())
    storage.after = after
    freeing = Freeing(database, storage, await service.bus())
    with pytest.raises(Refused, match="killed"):
        await freeing.free([path])
    used.add(path)
    freed = await Freeing(database, ObjectStorage(service.object_store()), await service.bus()).free([path])
    again = trainer.ask(REGISTER_MODEL, entry.model_copy(update={"idempotency_key": uuid.uuid4().hex}))
    if after:  # of no use to anybody
        assert (freed.size > 0, freed.waits) == (True, False)
        assert left(objects, entry.run_id) == {"adapter-of-another/file"}
        assert await code_of(again) is RefusalCode.INVALID
    else:
        assert freed == Freed(0, waits=True)
        assert (await again).exports == entry.exports
        used.clear()
        assert await freeing.free([path]) == Freed(0, waits=False), "a model has it again"
        assert len(left(objects, entry.run_id)) == 4


async def test_paths_are_left_as_they_are_while_the_store_is_away(
    used: set[str], export: Export, trainer: Bus, gateway: Bus, service: Service
) -> None:
    entry = export()
    model = await trainer.ask(REGISTER_MODEL, entry)
    used.update(entry.exports.values())
    await gateway.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id))
    used.clear()
    away = Objects("http://127.0.0.1:9", "key", "secret")
    freeing = Freeing(await service.database("registry"), ObjectStorage(ObjectStore(away)), await service.bus())
    assert await code_of(freeing.free([*entry.exports.values()])) is RefusalCode.STORAGE_FAILED
    again = await trainer.ask(REGISTER_MODEL, entry.model_copy(update={"idempotency_key": uuid.uuid4().hex}))
    assert again.exports == entry.exports


async def test_a_version_is_not_given_twice_and_a_deleted_model_not_registered_again(
    export: Export, trainer: Bus, gateway: Bus
) -> None:
    name = f"named-{uuid.uuid4().hex[:8]}"
    entry = export(model_name=name)
    first = await trainer.ask(REGISTER_MODEL, entry)
    await gateway.ask(DELETE_MODEL, DeleteModel(model_id=first.model_id))
    assert (await trainer.ask(REGISTER_MODEL, export(model_name=name))).version == 2
    assert (await trainer.ask(REGISTER_MODEL, entry)).model_id == first.model_id
    assert await code_of(gateway.ask(GET_MODEL, GetModel(model_id=first.model_id))) is RefusalCode.NOT_FOUND


async def test_a_model_in_use_is_deleted_only_by_force(export: Export, trainer: Bus, gateway: Bus) -> None:
    deployed, aliased = await trainer.ask(REGISTER_MODEL, export()), await trainer.ask(REGISTER_MODEL, export())
    await gateway.ask(DEPLOY_MODEL, DeployModel(model_id=deployed.model_id))
    await gateway.ask(SET_ALIAS, SetAlias(model_id=aliased.model_id, alias="production"))
    for model in (deployed, aliased):
        question = DeleteModel(model_id=model.model_id)
        assert await code_of(gateway.ask(DELETE_MODEL, question)) is RefusalCode.CONFLICT
        assert (await gateway.ask(GET_MODEL, GetModel(model_id=model.model_id))).model_id == model.model_id
        forced = await gateway.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id, force=True))
        assert forced.freed_bytes > 0


async def test_a_model_that_a_job_has_yet_to_compare_is_deleted_only_by_force(
    used: set[str], export: Export, trainer: Bus, gateway: Bus
) -> None:
    name = f"named-{uuid.uuid4().hex[:8]}"
    old, new = [await trainer.ask(REGISTER_MODEL, export(model_name=name)) for _ in range(2)]
    question = DeleteModel(model_id=f"{name}@2")
    for named in (name, f"{name}@latest", f"{name}@2", new.model_id):
        used.add(named)
        assert await code_of(gateway.ask(DELETE_MODEL, question)) is RefusalCode.CONFLICT
        used.remove(named)
    used |= {name, f"{name}@2"}
    assert (await gateway.ask(DELETE_MODEL, DeleteModel(model_id=old.model_id))).freed_bytes > 0
    assert (await gateway.ask(DELETE_MODEL, question.model_copy(update={"force": True}))).freed_bytes > 0


async def test_what_could_not_be_freed_is_freed_by_the_next_sweep(
    export: Export, trainer: Bus, gateway: Bus, settings: Settings, service: Service, objects: Objects
) -> None:
    """The object store is away while the model is deleted, as when the process dies right after its commit."""
    entry = export()
    model = await trainer.ask(REGISTER_MODEL, entry)
    await service.stack.aclose()
    async with running("registry", settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"}), build):
        deleted = await gateway.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id))
        assert (deleted.freed_bytes, deleted.pending) == (0, True)
    assert len(left(objects, entry.run_id)) == 4
    async with running("registry", settings, build), asyncio.timeout(20):
        while len(left(objects, entry.run_id)) > 1:  # noqa: ASYNC110 - nothing tells when it is done
            await asyncio.sleep(0.05)
    assert left(objects, entry.run_id) == {"adapter-of-another/file"}
