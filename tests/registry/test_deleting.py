"""Deleting models: what nobody uses goes, with its objects, and with nothing of another model's."""

import asyncio
import uuid
from typing import Any

import pytest

from common.bus import Bus
from common.objects import Objects, S3Path
from common.service import Service, running
from contracts.base import RefusalCode, Refused
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
    SetAlias,
)
from registry.main import build
from registry.settings import Settings
from tests.registry.conftest import Export

pytestmark = pytest.mark.usefixtures("service")


async def code_of(question: Any) -> RefusalCode:
    with pytest.raises(Refused) as refused:
        await question
    return refused.value.code


def left(objects: Objects, run_id: str) -> set[str]:
    return {info.path.key.removeprefix(f"{run_id}/") for info in objects.list(S3Path("artifacts", f"{run_id}/"))}


async def test_what_a_deleted_model_had_is_free(export: Export, trainer: Bus, gateway: Bus, objects: Objects) -> None:
    entry = export()
    objects.put_bytes(S3Path("artifacts", f"{entry.run_id}/training/model/weights"), b"12345")
    path = f"s3://artifacts/{entry.run_id}/training/model"
    told = [LineageStep(kind="training", name="training", path=path)]
    model = await trainer.ask(REGISTER_MODEL, entry.model_copy(update={"lineage": told}))
    size = sum(len(name) for name in ("adapter_config.json", "adapter_model.safetensors", "tokenizer/vocab.json"))
    deleted = await gateway.ask(DELETE_MODEL, DeleteModel(model_id=model.model_id))
    assert (deleted.freed_bytes, deleted.pending) == (size + 5, False)
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
