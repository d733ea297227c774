"""Interactions on their way from a completion into Postgres."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import nats
import pytest
from pydantic import TypeAdapter

from common.bus import Bus
from common.service import running as running_service
from contracts.base import rfc3339
from contracts.router import CHAT_COMPLETE, INTERACTIONS_RECORDED, Interaction, Interactions
from embedded.endpoints import Endpoints
from llm_router.domain.engines import DeclaredEngine
from llm_router.engine.metrics import SPILLED
from llm_router.engine.recorder import Recorder
from llm_router.main import NAME, build
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import Open, chat, router_settings, settings_for, soon
from tests.llm_router.upstream import running

_INTERACTION = TypeAdapter(Interaction)


def interaction(text: str = "Hello", *, created_at: datetime | None = None, **fields: object) -> Interaction:
    given = {
        "interaction_id": uuid.uuid4().hex,
        "route": "chat",
        "model": "m",
        "engine": "e0",
        "input_text": text,
        "output_text": "Hi",
        "parameters": {},
        "status": "completed",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "duration": 0.1,
        "created_at": rfc3339(created_at or datetime.now(UTC)),
    }
    return _INTERACTION.validate_python(dict.fromkeys(Interaction.__annotations__) | given | fields)


@pytest.fixture
async def router_bus(servers: Endpoints) -> AsyncIterator[Bus]:
    bus = await Bus.connect(settings_for(servers, NAME), NAME)
    yield bus
    await bus.close()


def spilled() -> float:
    return float(SPILLED._value.get())


class TestRecorder:
    async def test_what_jetstream_took_is_forgotten(self, router_bus: Bus) -> None:
        recorder = Recorder(router_bus, capacity=1000)
        running = asyncio.create_task(recorder.run())
        for _ in range(600):
            recorder.record(interaction())
        await recorder.flush(20)
        assert recorder.waiting == 0
        running.cancel()

    async def test_those_that_end_together_travel_together(self, router_bus: Bus, servers: Endpoints) -> None:
        recorder = Recorder(router_bus, capacity=1000)
        administrator = servers.administrator
        connection = await nats.connect(
            administrator.nats_url, user=administrator.nats_user, password=administrator.nats_password
        )
        stream = connection.jetstream()
        before = (await stream.stream_info(INTERACTIONS_RECORDED.stream)).state.last_seq
        for _ in range(5):
            recorder.record(interaction())
        await recorder.flush(5)
        assert (await stream.stream_info(INTERACTIONS_RECORDED.stream)).state.last_seq == before + 1
        await connection.close()

    async def test_while_the_bus_is_away_nothing_waits_for_it_and_the_buffer_is_bounded(self, router_bus: Bus) -> None:
        await router_bus.close()
        recorder = Recorder(router_bus, capacity=10)
        running = asyncio.create_task(recorder.run())
        before = spilled()
        for _ in range(15):
            recorder.record(interaction())
        await asyncio.sleep(0.2)
        assert recorder.waiting == 10
        assert spilled() - before == 5
        await recorder.flush(0.1)
        assert spilled() - before == 15
        running.cancel()

    async def test_one_that_the_bus_never_takes_does_not_hold_up_the_others(self, router_bus: Bus) -> None:
        recorder = Recorder(router_bus, capacity=10)
        before = spilled()
        recorder.record(interaction())
        recorder.record(interaction("x" * 9_000_000))
        recorder.record(interaction())
        running = asyncio.create_task(recorder.run())
        await recorder.flush(10)
        assert recorder.waiting == 0
        assert spilled() - before == 1
        running.cancel()


class TestKeeping:
    async def test_one_that_is_told_twice_is_kept_once(self, open_house: Open, router_bus: Bus) -> None:
        house = await open_house()
        told = interaction(uuid.uuid4().hex)
        for _ in range(2):
            body = Interactions(interactions=[told])
            await router_bus.publish(INTERACTIONS_RECORDED, body, message_id=uuid.uuid4().hex)
        row = await house.recorded(told["input_text"])
        assert rfc3339(row["created_at"]) == told["created_at"]

    async def test_one_that_postgres_never_takes_does_not_hold_up_the_others(
        self, open_house: Open, router_bus: Bus
    ) -> None:
        house = await open_house()
        mark = uuid.uuid4().hex
        good = [interaction(f"{mark} {i}") for i in range(10)]
        bad = interaction(mark, prompt_tokens=2**40)
        body = Interactions(interactions=[*good[:5], bad, *good[5:]])
        await router_bus.publish(INTERACTIONS_RECORDED, body, message_id=uuid.uuid4().hex)

        async def kept() -> bool:
            rows = await house.rows("SELECT input_text FROM interactions WHERE input_text LIKE $1", f"{mark}%")
            return sorted(row["input_text"] for row in rows) == sorted(told["input_text"] for told in good)

        await soon(kept)


async def test_a_router_that_ends_finishes_its_answers_and_records_them(
    servers: Endpoints, open_house: Open, caller: Bus, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex
    async with running() as upstream:
        engine = DeclaredEngine(name="e0", provider_type="openai", api_base=upstream.url)
        upstream.faults.append(faults.hang)
        async with running_service(NAME, router_settings(servers, tmp_path, [engine]), build):
            asking = asyncio.create_task(caller.ask(CHAT_COMPLETE, chat("m", mark)))
            await upstream.reached.wait()
            asyncio.get_running_loop().call_later(0.3, upstream.let_go.set)
        assert (await asking).content == "One two three"
    house = await open_house()
    assert (await house.recorded(mark))["status"] == "completed"
