"""A real vLLM behind the gateway: a model that the demo trained is served as an adapter on its base, and survives.

Not part of `make test`: vLLM needs an environment of 4 GB. `make test-vllm` installs it and runs these in their order.
"""

import json
import os
import re
import signal
from contextlib import aclosing
from pathlib import Path

import pytest

from embedded.demo.api import Json
from embedded.demo.base_model import BASE_MODEL
from embedded.platform import Platform
from embedded.running import Running
from embedded.vllm import VLLM
from tests.e2e.caller import Caller
from tests.embedded.conftest import wait_until
from tests.vllm.conftest import START_SECONDS, soon, vllm_is_up, vllm_itself

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

MODEL_NAME = "python-docs"
FIRST_PROCESSES = 2
"""Its guard, and the server that starts the others."""
QUESTION = "What does `textwrap.dedent` do and how is it called?"
CARD = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 12},
        "rating": {"type": "integer", "minimum": 1, "maximum": 5},
        "read": {"type": "boolean"},
    },
    "required": ["title", "rating", "read"],
    "additionalProperties": False,
}


def asked(model: str, **more: object) -> Json:
    """A chat that any engine answers always alike."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_tokens": 24,
        **more,
    }


async def answer(caller: Caller, model: str, **more: object) -> str:
    whole = await caller.post("/v1/chat/completions", asked(model, **more))
    content: str = whole["choices"][0]["message"]["content"]
    return content


async def adapters(vllm: Caller) -> list[str]:
    """The adapters that vLLM lists, all on the base model."""
    cards = (await vllm.get("/v1/models"))["data"]
    assert {card["parent"] for card in cards if card["id"] != BASE_MODEL} <= {BASE_MODEL}
    return [card["id"] for card in cards if card["id"] != BASE_MODEL]


async def measured(vllm: Caller, metric: str) -> float:
    """The sum of one of vLLM's metrics over its labels."""
    text = await vllm.get_text("/metrics")
    return sum(float(value) for value in re.findall(rf"^{re.escape(metric)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


async def answered_by(caller: Caller, model: str, engine: str) -> int:
    """How many answers of the model the engine has given, as the platform recorded them."""
    page = await caller.get(f"/api/v1/llm/interactions?limit=1&model={model}&engine={engine}")
    total: int = page["total"]
    return total


async def test_the_base_model_is_listed_and_answered_by_vllm_whole_and_streamed(caller: Caller) -> None:
    listed = {model["id"]: model["owned_by"] for model in (await caller.get("/v1/models"))["data"]}
    assert listed[BASE_MODEL] == "vllm"
    whole = await answer(caller, BASE_MODEL)
    assert "".join([text async for text in caller.chat(asked(BASE_MODEL))]) == whole != ""

    async def both_recorded() -> bool:
        return await answered_by(caller, BASE_MODEL, VLLM) >= 2

    await soon(both_recorded)


async def test_a_model_of_the_demo_answers_by_name_and_id_with_its_adapter_on_vllm(
    caller: Caller, vllm: Caller, first_model: str
) -> None:
    generated = await measured(vllm, "vllm:generation_tokens_total")
    by_name = await answer(caller, MODEL_NAME)
    assert await measured(vllm, "vllm:generation_tokens_total") > generated
    assert await adapters(vllm) == [first_model]
    assert await answer(caller, first_model) == by_name
    assert "".join([text async for text in caller.chat(asked(MODEL_NAME))]) == by_name
    assert by_name != await answer(caller, BASE_MODEL)

    async def recorded() -> bool:
        return await answered_by(caller, first_model, VLLM) >= 3

    await soon(recorded)
    assert await answered_by(caller, first_model, "local") == 0


async def test_vllm_keeps_even_a_babbling_model_to_a_json_schema(caller: Caller, first_model: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "card", "strict": True, "schema": CARD}}
    card = json.loads(await answer(caller, MODEL_NAME, max_tokens=200, response_format=wanted))
    assert set(card) == {"title", "rating", "read"}
    assert 1 <= card["rating"] <= 5
    assert isinstance(card["read"], bool)


async def test_a_caller_who_leaves_stops_vllm(caller: Caller, vllm: Caller, first_model: str) -> None:
    before = await measured(vllm, "vllm:generation_tokens_total")
    long = asked(MODEL_NAME, max_tokens=800, ignore_eos=True)
    async with aclosing(caller.chat(long)) as pieces:
        await anext(pieces)

    async def nothing_runs() -> bool:
        return await measured(vllm, "vllm:num_requests_running") == 0

    await soon(nothing_runs)
    assert 0 < await measured(vllm, "vllm:generation_tokens_total") - before < 800


async def test_the_least_recently_used_adapter_makes_room_and_comes_back(
    caller: Caller, vllm: Caller, first_model: str, second_model: str
) -> None:
    of_second = await answer(caller, second_model)
    assert await adapters(vllm) == [second_model], "one adapter is the limit here"
    of_first = await answer(caller, first_model)
    assert await adapters(vllm) == [first_model]
    assert of_first != of_second
    assert await answer(caller, MODEL_NAME) == of_second, "the name is the newest model's"


async def test_a_killed_vllm_is_stood_in_for_then_back_with_its_adapter(
    platform: Platform, caller: Caller, vllm: Caller, first_model: str
) -> None:
    before = await answer(caller, first_model)
    old = platform.pid(VLLM)
    os.kill(server_under(old), signal.SIGKILL)
    assert await answer(caller, first_model), "the local engine has the same base and adapter"
    platform.wait_restarted(VLLM, old, timeout=START_SECONDS)
    assert await adapters(vllm) == [], "a new vLLM knows none"

    async def on_vllm_again() -> bool:
        return bool(await answer(caller, first_model)) and await adapters(vllm) == [first_model]

    await soon(on_vllm_again)
    assert await answer(caller, first_model) == before


async def test_after_a_stop_no_process_of_vllm_is_left_and_a_start_serves_the_model_again(
    platform: Platform, first_model: str
) -> None:
    leader = platform.pid(VLLM)
    assert len(group(leader)) > FIRST_PROCESSES, "vLLM runs the model in processes of its own"
    assert platform.stop() == 0
    assert group(leader) == []
    platform.start()
    await vllm_is_up(platform)
    async with Caller(platform.url, platform.admin_key) as caller, vllm_itself(platform) as vllm:

        async def on_vllm_again() -> bool:
            return bool(await answer(caller, first_model)) and await adapters(vllm) == [first_model]

        await soon(on_vllm_again)


def test_no_process_of_vllm_survives_a_platform_that_is_killed(platform: Platform) -> None:
    leader = platform.pid(VLLM)
    kill(platform)
    wait_until(lambda: not group(leader), timeout=30)


def test_none_survives_either_when_the_platform_is_killed_while_vllm_starts(platform: Platform) -> None:
    platform.start()
    wait_until(lambda: VLLM in running(platform).pids, timeout=30)
    leader = platform.pid(VLLM)
    wait_until(lambda: len(group(leader)) > FIRST_PROCESSES, timeout=START_SECONDS)
    kill(platform)
    wait_until(lambda: not group(leader), timeout=30)


def running(platform: Platform) -> Running:
    found = Running.read(platform.data_dir)
    assert found is not None
    return found


def kill(platform: Platform) -> None:
    os.kill(running(platform).pid, signal.SIGKILL)
    platform.stop()


def server_under(guard: int) -> int:
    (server,) = Path(f"/proc/{guard}/task/{guard}/children").read_text().split()
    return int(server)


def group(leader: int) -> list[int]:
    """The living processes of a process group."""
    members = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            stat = (process / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _parent, pgrp = stat.rsplit(")", 1)[1].split()[:3]
        if int(pgrp) == leader and state != "Z":
            members.append(int(process.name))
    return members
