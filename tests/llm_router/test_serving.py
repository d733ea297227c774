"""Aliases and deployments: told once, known to all replicas, and no request fails while one moves."""

import asyncio
import uuid
from contextlib import aclosing
from pathlib import Path

import pytest

from common.context import Call, Principal, calling
from common.objects import S3Path
from contracts.base import RefusalCode
from contracts.registry import ServableModel
from contracts.router import CHAT_STREAM
from llm_router.domain.engines import DeclaredEngine
from llm_router.engine import serving
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import House, Open, Registry, chat, soon, until
from tests.llm_router.upstream import running


def put(house: House, name: str) -> ServableModel:
    return house.registry.put(name, base_model="m", adapter=house.put_adapter())


@pytest.fixture
def name() -> str:
    return f"helper-{uuid.uuid4().hex[:8]}"


async def asked(house: House, reference: str) -> str:
    """The id of the model that answers to that name."""
    await house.ask(reference)
    answered: str = house.upstreams[0].requests[-1]["model"]
    return answered


async def leads(house: House, reference: str, model: ServableModel) -> None:
    """Returns once all replicas answer with that model: several questions in a row, so each has been asked."""

    async def does() -> bool:
        return all([await asked(house, reference) == model.model_id for _ in range(8)])

    await soon(does)


async def test_a_model_is_asked_by_version_and_alias(open_house: Open, name: str) -> None:
    house = await open_house(provider="vllm")
    first, second = put(house, name), put(house, name)
    await house.registry.move(name, "production", first.model_id)
    assert await asked(house, f"{name}@1") == first.model_id
    assert await asked(house, f"{name}@latest") == second.model_id
    assert await asked(house, f"{name}@production") == first.model_id
    assert await asked(house, name) == second.model_id
    assert (await house.ask(f"{name}@production")).model == f"{name}@1", "the version is told"
    listed = await house.models()
    assert listed[f"{name}@production"].model_id == first.model_id
    assert (listed[f"{name}@production"].versioned, listed[name].versioned) == (f"{name}@1", f"{name}@2")
    for nobody in (f"{name}@staging", f"{name}@3", f"{name}@"):
        assert (await house.refusal(nobody)).code is RefusalCode.NOT_FOUND


async def test_no_request_fails_or_waits_while_an_alias_moves(open_house: Open, name: str) -> None:
    """Callers ask all the time, of two replicas, while the alias goes back and forth between two versions."""
    house = await open_house(provider="vllm", replicas=2)
    versions = [put(house, name), put(house, name)]
    await house.registry.move(name, "production", versions[0].model_id)
    await leads(house, f"{name}@production", versions[0])
    answered: list[str] = []
    done = asyncio.Event()

    async def call() -> None:
        while not done.is_set():
            answered.append((await house.ask(f"{name}@production")).content)

    callers = [asyncio.create_task(call()) for _ in range(6)]
    for turn in range(1, 5):
        target = versions[turn % 2]
        await house.registry.move(name, "production", target.model_id)
        await leads(house, f"{name}@production", target)
    done.set()
    await asyncio.gather(*callers)
    assert len(answered) > 20
    assert set(answered) == {"One two three"}


async def test_an_alias_moves_only_once_its_model_is_loaded(open_house: Open, name: str) -> None:
    house = await open_house(provider="vllm")
    first, second = put(house, name), put(house, name)
    await house.registry.move(name, "production", first.model_id)
    await leads(house, f"{name}@production", first)
    house.upstreams[0].load_answers.append((500, "CUDA out of memory. Tried to allocate 20.00 MiB"))
    await house.registry.move(name, "production", second.model_id)

    async def was_tried() -> bool:
        return house.upstreams[0].loads[-1]["lora_name"] == second.model_id

    await soon(was_tried)
    assert await asked(house, f"{name}@production") == first.model_id
    await leads(house, f"{name}@production", second)


async def test_a_deployed_model_is_loaded_before_it_is_asked(open_house: Open, name: str) -> None:
    house = await open_house(provider="vllm")
    model = put(house, name)
    await house.registry.tell()
    await house.discovered(name)
    assert house.upstreams[0].loads == []
    await house.registry.serve(model, served=True, wanted=True)

    async def is_loaded() -> bool:
        return model.model_id in house.upstreams[0].names()

    await soon(is_loaded)


async def test_an_undeployed_model_cannot_be_asked_and_leaves_engines_and_disk(open_house: Open, name: str) -> None:
    house = await open_house(provider="vllm", replicas=2)
    first, second = put(house, name), put(house, name)
    assert await asked(house, second.model_id) == second.model_id
    await house.registry.serve(second, served=False)

    assert (house.adapter_dir / second.model_id).is_dir()

    async def is_gone() -> bool:
        loaded = house.upstreams[0].names()
        return second.model_id not in loaded and not (house.adapter_dir / second.model_id).exists()

    await soon(is_gone)
    for reference in (second.model_id, f"{name}@2"):
        for _ in range(4):
            assert (await house.refusal(reference)).code is RefusalCode.NOT_FOUND
    await leads(house, name, first)
    await house.registry.serve(second, served=True)
    await leads(house, name, second)


async def test_files_of_what_was_deleted_while_no_router_ran_go_with_the_next_start(
    open_house: Open, known: Registry, tmp_path: Path, name: str
) -> None:
    model = known.put(name, base_model="m", adapter="s3://artifacts/gone")
    await known.serve(model, served=False)
    kept = tmp_path / "adapters" / model.model_id
    kept.mkdir(parents=True)
    (kept / "adapter_model.safetensors").write_bytes(b"weights")
    await open_house(provider="vllm")
    await until(lambda: list((tmp_path / "adapters").iterdir()) == [])


async def test_a_model_that_is_undeployed_while_it_is_loaded_leaves_engines_and_disk_too(
    open_house: Open, name: str
) -> None:
    house = await open_house(provider="vllm")
    engine, model = house.upstreams[0], put(house, name)
    engine.slow_load = 0.5
    asking = asyncio.create_task(house.ask(model.model_id))
    await until(lambda: bool(engine.loads))
    await house.registry.serve(model, served=False)
    await until(lambda: engine.unloads == [model.model_id])
    await until(lambda: not (house.adapter_dir / model.model_id).exists())
    assert model.model_id not in engine.names()
    await asyncio.gather(asking, return_exceptions=True)  # whether it was fast enough does not matter


async def test_an_adapter_that_does_not_leave_its_engine_is_taken_off_again_and_keeps_its_files_until_then(
    open_house: Open, name: str
) -> None:
    house = await open_house(provider="vllm", engine_check_timeout=20)
    engine, model = house.upstreams[0], put(house, name)
    assert await asked(house, model.model_id) == model.model_id
    engine.unload_answers.append((500, "busy"))
    engine.silent = True
    await house.registry.serve(model, served=False)
    await until(lambda: len(engine.unloads) == 1)
    await asyncio.sleep(1.5 * serving._LOOK_SECONDS)
    assert (house.adapter_dir / model.model_id).is_dir()
    engine.let_go.set()
    await until(lambda: not (house.adapter_dir / model.model_id).exists())
    assert model.model_id not in engine.names()


async def test_an_engine_that_is_down_keeps_no_files_and_lets_go_of_a_model_when_it_is_back(
    open_house: Open, name: str
) -> None:
    house = await open_house(provider="vllm")
    engine, model = house.upstreams[0], put(house, name)
    assert await asked(house, model.model_id) == model.model_id
    await engine.stop()
    await house.registry.serve(model, served=False)
    await until(lambda: not (house.adapter_dir / model.model_id).exists())
    await engine.start(engine.port)
    await until(lambda: model.model_id not in engine.names())


async def test_an_engine_that_was_not_heard_yet_lets_go_of_what_was_undeployed_before_the_start(
    open_house: Open, known: Registry, tmp_path: Path, name: str
) -> None:
    model = known.put(name, base_model="m", adapter="s3://artifacts/gone")
    await known.serve(model, served=False)
    files = tmp_path / "adapters" / model.model_id
    files.mkdir(parents=True)
    async with running(models=[{"id": "m"}, {"id": model.model_id, "parent": "m"}], silent=True) as engine:
        spec = {"name": "e", "provider_type": "vllm", "api_base": engine.url}
        await open_house(0, declared=[DeclaredEngine.model_validate(spec)])
        await until(lambda: known.asked > 0)
        engine.silent = False
        engine.let_go.set()
        await until(lambda: model.model_id not in engine.names())
        await until(lambda: not files.exists())


async def test_an_answer_that_has_begun_is_ended_by_a_model_that_is_undeployed(open_house: Open, name: str) -> None:
    house = await open_house(provider="vllm")
    model = put(house, name)
    house.upstreams[0].faults.append(faults.hang_after_a_word)
    async with aclosing(house.bus.stream(CHAT_STREAM, chat(model.model_id, "Hello"))) as answer:
        await anext(answer)
        await house.registry.serve(model, served=False)

        async def is_unknown() -> bool:
            return model.model_id not in await house.models()

        await soon(is_unknown)
        assert house.upstreams[0].unloads == []
    await house.upstreams[0].left.wait()

    async def is_unloaded() -> bool:
        return house.upstreams[0].unloads == [model.model_id]

    await soon(is_unloaded)


async def test_a_removed_alias_leads_nowhere_and_one_whose_model_is_gone_moves_at_once(
    open_house: Open, name: str
) -> None:
    house = await open_house(provider="vllm")
    first, second = put(house, name), put(house, name)
    await house.registry.move(name, "production", first.model_id)
    await leads(house, f"{name}@production", first)
    await house.registry.serve(first, served=False)
    await house.registry.move(name, "production", second.model_id)
    await leads(house, f"{name}@production", second)
    await house.registry.move(name, "production", None)

    async def is_refused() -> bool:
        return f"{name}@production" not in await house.models()

    await soon(is_refused)
    assert (await house.refusal(f"{name}@production")).code is RefusalCode.NOT_FOUND


async def test_a_key_for_a_name_may_ask_its_versions_and_aliases(open_house: Open, name: str) -> None:
    house = await open_house(provider="vllm")
    model = put(house, name)
    await house.registry.move(name, "production", model.model_id)
    principal = Principal(id="key_1", name="test", role="member", models=(name,))
    with calling(Call(principal=principal)):
        for reference in (name, f"{name}@1", f"{name}@production", model.model_id):
            assert (await house.ask(reference)).content
        assert (await house.refusal("m")).code is RefusalCode.FORBIDDEN
        assert f"{name}@production" in await house.models()


async def test_a_model_that_was_trained_whole_is_loaded_by_local_engines_alone(open_house: Open, name: str) -> None:
    async with running() as vllm, running() as local:
        declared = [
            DeclaredEngine.model_validate({"name": kind, "provider_type": kind, "api_base": upstream.url})
            for kind, upstream in (("vllm", vllm), ("local", local))
        ]
        house = await open_house(0, declared=declared)
        model = put(house, name)
        prefix = S3Path.parse(model.exports["adapter"])
        house.objects.put_bytes(prefix / "config.json", b"{}")
        house.registry.models[model.model_id] = model.model_copy(update={"exports": {"merged": str(prefix)}})
        for _ in range(3):
            assert (await house.ask(name)).engine == "local"
        assert [load["lora_name"] for load in local.loads] == [model.model_id]
        assert vllm.loads == []
