"""What is served: versions, aliases, deployments, and how routers keep up with them."""

import asyncio
import uuid
from typing import Any

import pytest

from common.bus import Bus
from contracts.base import RefusalCode, Refused
from contracts.registry import (
    DELETE_MODEL,
    DEPLOY_MODEL,
    GET_MODEL,
    GET_SERVING,
    LIST_MODELS,
    REGISTER_MODEL,
    REMOVE_ALIAS,
    SERVING_CHANGED,
    SET_ALIAS,
    UNDEPLOY_MODEL,
    DeleteModel,
    DeployModel,
    GetModel,
    GetServing,
    ListModels,
    Model,
    RemoveAlias,
    Serving,
    SetAlias,
    UndeployModel,
)
from tests.registry.conftest import Export

pytestmark = pytest.mark.usefixtures("service")


async def code_of(question: Any) -> RefusalCode:
    with pytest.raises(Refused) as refused:
        await question
    return refused.value.code


async def versions(export: Export, trainer: Bus, count: int = 2, **changes: Any) -> list[Model]:
    """Models of one new name, oldest first."""
    name = f"named-{uuid.uuid4().hex[:8]}"
    return [await trainer.ask(REGISTER_MODEL, export(model_name=name, **changes)) for _ in range(count)]


async def served(router: Bus, after: int) -> Serving:
    return await router.ask(GET_SERVING, GetServing(after=after))


async def revision(router: Bus) -> int:
    """The newest."""
    after, more = 0, True
    while more:
        page = await served(router, after)
        after, more = page.revision, page.has_more
    return after


async def test_models_of_a_name_are_counted_and_found_by_version_alias_and_newest(
    export: Export, trainer: Bus, gateway: Bus
) -> None:
    first, second = await versions(export, trainer)
    assert (first.version, second.version) == (1, 2)
    name = first.model_name
    await gateway.ask(SET_ALIAS, SetAlias(model_id=first.model_id, alias="production"))
    for reference, model in {
        f"{name}@1": first,
        f"{name}@2": second,
        f"{name}@latest": second,
        f"{name}@production": first,
        name: second,
        first.model_id: first,
    }.items():
        assert (await gateway.ask(GET_MODEL, GetModel(model_id=reference))).model_id == model.model_id, reference
    for nobody in (f"{name}@3", f"{name}@staging", f"{name}@", "@1", f"{name}@99999999999", f"{name}@zero\0"):
        assert await code_of(gateway.ask(GET_MODEL, GetModel(model_id=nobody))) is RefusalCode.NOT_FOUND, nobody


async def test_registrations_of_one_name_at_once_have_versions_of_their_own(export: Export, trainer: Bus) -> None:
    name = f"named-{uuid.uuid4().hex[:8]}"
    made = await asyncio.gather(*(trainer.ask(REGISTER_MODEL, export(model_name=name)) for _ in range(6)))
    assert sorted(model.version for model in made) == [1, 2, 3, 4, 5, 6]


async def test_an_alias_moves_and_says_what_it_named_before(
    export: Export, trainer: Bus, gateway: Bus, router: Bus
) -> None:
    first, second = await versions(export, trainer)
    await gateway.ask(SET_ALIAS, SetAlias(model_id=first.model_id, alias="production"))
    before = await revision(router)
    moved = await gateway.ask(SET_ALIAS, SetAlias(model_id=f"{first.model_name}@2", alias="production"))
    assert (moved.model_id, moved.version, moved.previous) == (second.model_id, 2, first.model_id)
    change = await served(router, before)
    assert [(alias.alias, alias.model_id) for alias in change.aliases] == [("production", second.model_id)]
    assert (await gateway.ask(GET_MODEL, GetModel(model_id=second.model_id))).aliases == ["production"]
    assert (await gateway.ask(GET_MODEL, GetModel(model_id=first.model_id))).aliases == []
    removed = await gateway.ask(REMOVE_ALIAS, RemoveAlias(model_id=second.model_id, alias="production"))
    assert (removed.model_id, removed.previous) == (None, second.model_id)
    assert (await served(router, change.revision)).aliases[0].model_id is None
    again = gateway.ask(REMOVE_ALIAS, RemoveAlias(model_id=second.model_id, alias="production"))
    assert await code_of(again) is RefusalCode.NOT_FOUND


async def test_a_registration_may_move_an_alias(export: Export, trainer: Bus, gateway: Bus) -> None:
    first, second = await versions(export, trainer, aliases=["production", "canary"])
    assert second.aliases == ["canary", "production"]
    assert (await gateway.ask(GET_MODEL, GetModel(model_id=first.model_id))).aliases == []


@pytest.mark.parametrize("alias", ["latest", "3", "with space", "", "a@b"])
async def test_an_alias_that_could_be_taken_for_something_else_is_refused(
    export: Export, trainer: Bus, gateway: Bus, alias: str
) -> None:
    (model,) = await versions(export, trainer, 1)
    question = SetAlias.model_construct(model_id=model.model_id, alias=alias)
    assert await code_of(gateway.ask(SET_ALIAS, question)) is RefusalCode.INVALID


async def test_deploying_and_undeploying_are_told_once_each_and_may_be_repeated(
    export: Export, trainer: Bus, gateway: Bus, router: Bus
) -> None:
    (model,) = await versions(export, trainer, 1, deploy=False)
    before = await revision(router)
    for _ in range(2):
        deployed = await gateway.ask(DEPLOY_MODEL, DeployModel(model_id=model.model_id))
        assert deployed.status == "deployed"
        assert deployed.names == [model.model_id, f"{model.model_name}@1", model.model_name]
    (told,) = (await served(router, before)).models
    assert (told.model_id, told.served, told.wanted) == (model.model_id, True, True)
    for _ in range(2):
        assert (await gateway.ask(UNDEPLOY_MODEL, UndeployModel(model_id=model.model_id))).names == []
    (told,) = (await served(router, before)).models
    assert (told.served, told.wanted) == (False, False)
    page = await gateway.ask(LIST_MODELS, ListModels(model_name=model.model_name, deployed=False))
    assert [summary.model_id for summary in page.models] == [model.model_id]


async def test_routers_hear_of_each_change(export: Export, trainer: Bus, gateway: Bus, router: Bus) -> None:
    heard: list[int] = []
    listening = asyncio.Event()

    async def listen() -> None:
        async for delivered in router.follow(SERVING_CHANGED, after=0):
            heard.append(delivered.body.revision)
            listening.set()

    task = asyncio.create_task(listen())
    (model,) = await versions(export, trainer, 1)
    await gateway.ask(SET_ALIAS, SetAlias(model_id=model.model_id, alias="production"))
    newest = await revision(router)
    async with asyncio.timeout(10):
        while newest not in heard:
            listening.clear()
            await listening.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_has_an_alias_goes_on_being_served_unless_forced(
    export: Export, trainer: Bus, gateway: Bus, router: Bus
) -> None:
    (model,) = await versions(export, trainer, 1)
    await gateway.ask(SET_ALIAS, SetAlias(model_id=model.model_id, alias="production"))
    question = UndeployModel(model_id=model.model_id)
    assert await code_of(gateway.ask(UNDEPLOY_MODEL, question)) is RefusalCode.CONFLICT
    before = await revision(router)
    await gateway.ask(UNDEPLOY_MODEL, UndeployModel(model_id=model.model_id, force=True))
    change = await served(router, before)
    assert [told.served for told in change.models] == [False]
    assert [alias.model_id for alias in change.aliases] == [None]
    again = gateway.ask(SET_ALIAS, SetAlias(model_id=model.model_id, alias="production"))
    assert await code_of(again) is RefusalCode.CONFLICT


async def test_a_model_that_engines_cannot_load_is_not_deployed(
    export: Export, trainer: Bus, gateway: Bus, router: Bus
) -> None:
    entry = export()
    file = {"gguf": entry.exports["adapter"]}
    model = await trainer.ask(REGISTER_MODEL, entry.model_copy(update={"exports": file}))
    before = await revision(router)
    assert await code_of(gateway.ask(DEPLOY_MODEL, DeployModel(model_id=model.model_id))) is RefusalCode.CONFLICT
    assert (await served(router, before)).models == []


async def test_a_router_that_comes_late_is_told_all_page_by_page(
    export: Export, trainer: Bus, gateway: Bus, router: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.store.serving._PAGE", 3)
    made = await versions(export, trainer, 7)
    await gateway.ask(SET_ALIAS, SetAlias(model_id=made[0].model_id, alias="production"))
    await gateway.ask(DELETE_MODEL, DeleteModel(model_id=made[1].model_id, force=True))
    after, more = 0, True
    told: dict[str, bool] = {}
    aliases: dict[str, str | None] = {}
    while more:
        page = await served(router, after)
        assert page.revision > after
        told |= {model.model_id: model.served for model in page.models}
        aliases |= {alias.model_name: alias.model_id for alias in page.aliases}
        after, more = page.revision, page.has_more
    assert [told[model.model_id] for model in made] == [True, False, True, True, True, True, True]
    assert aliases[made[0].model_name] == made[0].model_id
