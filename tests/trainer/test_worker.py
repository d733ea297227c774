"""The worker beside a scripted orchestrator, on a real bus: claims, heartbeats, verdicts, outcomes, logs, the cache."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from common.bus import Bus
from common.database import Database
from common.objects import Objects, ObjectStore, S3Path
from contracts import orchestrator as contract
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import (
    ClaimedStep,
    StepCancelled,
    StepFailed,
    StepReleased,
    StepSucceeded,
)
from contracts.pipeline import DatasetOutput, GlobalConfig
from trainer.engine.child_process import ChildProcess
from trainer.engine.orders import StorageAccess
from trainer.settings import Settings
from trainer.worker.leases import Lease, Leases
from trainer.worker.leftovers import Leftovers
from trainer.worker.performing import Performer
from trainer.worker.results import Results
from trainer.worker.run_log import RunLog
from trainer.worker.worker import Worker

MakeStep = Callable[..., ClaimedStep]


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = await Database.connect(settings.database_url.get_secret_value(), "trainer", size=2)
    await database.migrate("trainer")
    yield database
    await database.close()


@pytest.fixture
def start(
    settings: Settings,
    database: Database,
    objects: Objects,
    storage: StorageAccess,
    stub_child: list[str],
    tmp_path: Path,
) -> Callable[..., Any]:
    """Starts a worker with stub children for the duration of the block, as the composition root does."""

    @asynccontextmanager
    async def worker(
        *, slots: int = 1, agent_classes: Sequence[str] = ("DatasetAgent",), poll_seconds: float = 0.5
    ) -> AsyncIterator[Worker]:
        async with AsyncExitStack() as stack:
            bus = await Bus.connect(settings, "trainer")
            stack.push_async_callback(bus.close)
            store = ObjectStore(objects)
            results = Results(database, store, tmp_path, "code")
            performer = Performer(bus, results, storage, settings.limits, tmp_path, tmp_path / "work")
            leases, log = Leases(bus, "test-worker"), RunLog(bus)
            worker = Worker(bus, leases, log, performer, store, "test-worker", agent_classes, poll_seconds)
            children = [ChildProcess(stub_child) for _ in range(slots)]
            for child in children:
                stack.push_async_callback(child.close)
            tasks = [
                asyncio.create_task(part)
                for part in (leases.run(), leases.follow_hints(), log.run(), *map(worker.run_slot, children))
            ]
            stack.push_async_callback(_end, tasks)
            stack.push_async_callback(worker.close)
            yield worker

    return worker


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def behaves(make_step: MakeStep) -> Callable[..., ClaimedStep]:
    def step(behaviour: str, **fields: Any) -> ClaimedStep:
        return make_step("DatasetAgent", {"file_path": f"s3://stub/{behaviour}"}, **fields)

    return step


async def _until(condition: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)


async def _idle(script: Any) -> None:
    """Returns once the worker has followed the hints that others left and waits for the next."""
    await _until(lambda: bool(script.claims))
    asked = 0
    while asked < len(script.claims):
        asked = len(script.claims)
        await asyncio.sleep(0.5)


async def _hint(bus: Bus, step: ClaimedStep) -> None:
    body = contract.StepReady(step_id=step.step_id, agent_class=step.agent_class)
    await bus.publish(contract.STEP_READY, body, message_id=secrets.token_hex(8))


# Getting work


async def test_a_ready_step_is_found_without_a_hint(start: Any, script: Any, behaves: Any) -> None:
    async with start():
        script.ready.append(step := behaves("ok"))
        assert isinstance(await script.outcome(step), StepSucceeded)
    assert script.finished[0].fence == step.fence


async def test_a_hint_is_followed_at_once(start: Any, script: Any, behaves: Any, orchestrator: Bus) -> None:
    async with start(poll_seconds=30):
        await _idle(script)
        script.ready.append(step := behaves("ok"))
        await _hint(orchestrator, step)
        await script.outcome(step, within=5)
    assert step.step_id in [claim.step_id for claim in script.claims]


async def test_hints_for_others_cost_no_questions(
    start: Any, script: Any, orchestrator: Bus, make_step: MakeStep
) -> None:
    """They come again and again while all that train are busy: hundreds a second, of a sweep."""
    async with start(poll_seconds=30):
        await _idle(script)
        asked = len(script.claims)
        for _ in range(4):
            await _hint(orchestrator, make_step("TrainingAgent"))
        await asyncio.sleep(0.5)
        assert len(script.claims) == asked


async def test_a_hint_that_comes_too_late_does_no_harm(
    start: Any, script: Any, behaves: Any, orchestrator: Bus
) -> None:
    gone = behaves("ok")
    await _hint(orchestrator, gone)
    async with start():
        script.ready.append(step := behaves("ok"))
        assert isinstance(await script.outcome(step), StepSucceeded)
    assert all(request.step_id != gone.step_id for request in script.finished)


async def test_a_busy_worker_takes_nothing_more(start: Any, script: Any, behaves: Any) -> None:
    async with start():
        script.ready += [first := behaves("slow"), second := behaves("ok")]
        await _until(lambda: len(script.ready) == 1)
        await asyncio.sleep(1)
        assert script.ready == [second]
        await script.outcome(first)
        await script.outcome(second)


async def test_two_slots_work_at_once(start: Any, script: Any, behaves: Any) -> None:
    async with start(slots=2):
        script.ready += [behaves("slow"), behaves("slow")]
        await _until(lambda: not script.ready)
        await _until(lambda: any(len(beat.steps) == 2 for beat in script.beats))


async def test_only_its_own_agent_classes_are_taken(start: Any, script: Any, make_step: MakeStep) -> None:
    other = make_step("TrainingAgent")
    async with start(agent_classes=["DatasetAgent"]):
        script.ready.append(other)
        await asyncio.sleep(1.2)
    assert script.ready == [other]


# Leases and verdicts


async def test_heartbeats_go_on_while_the_child_works(start: Any, script: Any, behaves: Any) -> None:
    async with start():
        script.ready.append(step := behaves("slow", lease_seconds=0.6, fence=7))
        await script.outcome(step)
    beats = [held for beat in script.beats for held in beat.steps if held.step_id == step.step_id]
    assert len(beats) >= 5
    assert {held.fence for held in beats} == {7}


async def test_a_cancelled_step_is_killed_reported_and_leaves_nothing(
    start: Any, script: Any, behaves: Any, objects: Objects, tmp_path: Path, run_id: str
) -> None:
    objects.put_bytes(S3Path("artifacts", f"{run_id}/dataset/half"), b"x")
    async with start():
        script.ready.append(step := behaves("hang", lease_seconds=0.6))
        await _until(lambda: any((tmp_path / "work").rglob("scratch")))
        script.verdicts[step.step_id] = "cancel"
        assert isinstance(await script.outcome(step, within=5), StepCancelled)
        assert not any((tmp_path / "work").iterdir())
        await _until(lambda: objects.list(S3Path("artifacts", f"{run_id}/")) == [])
        script.ready.append(following := behaves("ok"))
        assert isinstance(await script.outcome(following), StepSucceeded)


async def test_a_lost_step_is_dropped_without_a_word(start: Any, script: Any, behaves: Any) -> None:
    async with start():
        script.ready.append(lost := behaves("hang", lease_seconds=0.6))
        await _until(lambda: bool(script.beats))
        script.verdicts[lost.step_id] = "lost"
        script.ready.append(step := behaves("ok"))
        await script.outcome(step)
    assert [request.step_id for request in script.finished] == [step.step_id]


def test_a_step_that_is_claimed_again_here_has_lost_its_earlier_claim(make_step: MakeStep) -> None:
    leases = Leases(bus=None, worker_id="w")  # type: ignore[arg-type] - nobody beats
    step = make_step("DatasetAgent")
    earlier, other = leases.hold(step), leases.hold(make_step("DatasetAgent"))
    again = leases.hold(step.model_copy(update={"fence": step.fence + 1}))
    assert [lease.lost.is_set() for lease in (earlier, other, again)] == [True, False, False]


async def test_a_paused_step_is_given_back_from_where_it_can_go_on(
    start: Any, script: Any, behaves: Any, log_of: Any, run_id: str
) -> None:
    async with start():
        script.ready.append(step := behaves("heed", lease_seconds=0.6))
        await _until(lambda: bool(script.beats))
        script.verdicts[step.step_id] = "pause"
        assert isinstance(await script.outcome(step), StepReleased)
        assert "paused" in (await log_of(run_id, 2))[-1].message


def test_a_job_that_is_resumed_before_its_agent_could_pause_goes_on(make_step: MakeStep) -> None:
    lease = Lease(make_step("DatasetAgent"))
    asked: list[Literal["pause", "held"]] = ["pause", "pause", "held"]
    paused = []
    for verdict in asked:
        lease.heed(contract.StepVerdict(step_id=lease.step.step_id, verdict=verdict))
        paused.append(lease.paused.is_set())
    assert paused == [True, True, False]
    assert lease.steering.qsize() == 1


async def test_a_step_that_cannot_pause_is_stopped_and_given_back(
    start: Any, script: Any, behaves: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.worker.worker._PAUSE_SECONDS", 0.5)
    async with start():
        script.ready.append(step := behaves("hang", lease_seconds=0.6))
        script.verdicts[step.step_id] = "pause"
        assert isinstance(await script.outcome(step), StepReleased)
        script.ready.append(following := behaves("ok"))
        assert isinstance(await script.outcome(following), StepSucceeded)


async def test_a_step_is_adjusted_once_by_what_was_asked_before_and_what_comes(
    start: Any, script: Any, behaves: Any, log_of: Any, run_id: str
) -> None:
    first, second = (contract.StepAdjustment(number=n, learning_rate=n / 1000, by="Ada") for n in (1, 2))
    async with start():
        script.ready.append(step := behaves("heed", lease_seconds=0.6, adjustments=[first]))
        await _until(lambda: bool(script.beats))
        script.adjustments += [first, second]
        await _until(lambda: script.beats[-1].steps[0].adjusted == 2)
        script.verdicts[step.step_id] = "pause"
        await script.outcome(step)
        records = await log_of(run_id, 4)
    assert [record.adjustment for record in records] == [None, 1, 2, None]


async def test_a_hint_that_a_job_was_steered_is_followed_at_once(
    start: Any, script: Any, behaves: Any, orchestrator: Bus
) -> None:
    async with start():
        script.ready.append(step := behaves("hang", lease_seconds=600))
        await _until(lambda: bool(script.beats))
        script.verdicts[step.step_id] = "cancel"
        await orchestrator.publish(
            contract.JOB_STEERED, contract.JobSteered(run_id=step.run_id), message_id=secrets.token_hex(8)
        )
        assert isinstance(await script.outcome(step, within=5), StepCancelled)


async def test_a_step_past_its_deadline_is_stopped_for_good(start: Any, script: Any, behaves: Any) -> None:
    async with start():
        script.ready.append(step := behaves("hang", deadline=datetime.now(UTC) + timedelta(seconds=2)))
        result = await script.outcome(step)
    assert isinstance(result, StepFailed)
    assert not result.retryable
    assert result.metadata == {"reason": "timeout"}


async def test_a_worker_that_stops_gives_its_step_back(start: Any, script: Any, behaves: Any) -> None:
    async with start() as worker:
        script.ready.append(step := behaves("hang"))
        await _until(lambda: bool(script.beats))
        started = time.monotonic()
        await worker.close()
        assert time.monotonic() - started < 5
        assert isinstance(await script.outcome(step), StepReleased)
        script.ready.append(behaves("ok"))
        await asyncio.sleep(1)
    assert len(script.ready) == 1


# Outcomes


@pytest.mark.parametrize(
    ("behaviour", "code", "retryable"),
    [
        ("refuse", "DATASET_ERROR", False),
        ("storage", "STORAGE_ERROR", True),
        ("crash", "INTERNAL_ERROR", True),
        ("die", "INTERNAL_ERROR", True),
    ],
)
async def test_failures_are_told_with_their_code(
    start: Any, script: Any, behaves: Any, behaviour: str, code: str, retryable: bool
) -> None:
    async with start():
        script.ready.append(step := behaves(behaviour))
        result = await script.outcome(step)
    assert isinstance(result, StepFailed)
    assert (result.code, result.retryable) == (code, retryable)


async def test_a_configuration_that_no_agent_takes_is_refused(start: Any, script: Any, make_step: MakeStep) -> None:
    async with start(agent_classes=["DatasetAgent", "Wizard"]):
        script.ready += [wrong := make_step("DatasetAgent", {"path": 1}), unknown := make_step("Wizard")]
        for step in (wrong, unknown):
            result = await script.outcome(step)
            assert isinstance(result, StepFailed)
            assert result.code == "CONFIG_ERROR"


async def test_a_result_survives_an_orchestrator_that_is_away(
    start: Any, script: Any, orchestrator: Bus, play: Any, behaves: Any
) -> None:
    async with start():
        script.ready.append(step := behaves("slow"))
        await _until(lambda: bool(script.beats))
        await orchestrator.close()
        await asyncio.sleep(6)
        assert script.finished == []
        async with play(script):
            assert isinstance(await script.outcome(step), StepSucceeded)


async def test_a_result_is_told_again_until_it_is_heard(start: Any, script: Any, behaves: Any) -> None:
    script.refuse = Refused(RefusalCode.INTERNAL, "a crash")
    async with start():
        script.ready.append(step := behaves("ok"))
        assert isinstance(await script.outcome(step), StepSucceeded)


async def test_a_result_that_will_never_be_taken_fails_the_step(start: Any, script: Any, behaves: Any) -> None:
    script.refuse = Refused(RefusalCode.TOO_LARGE, "too large")
    async with start():
        script.ready.append(step := behaves("ok"))
        result = await script.outcome(step)
    assert isinstance(result, StepFailed)
    assert "too large" in result.message


async def test_checkpoints_go_once_the_step_is_done_for_good(
    start: Any, script: Any, behaves: Any, objects: Objects, run_id: str
) -> None:
    prefix = S3Path("artifacts", f"{run_id}/dataset")
    for name in ("checkpoints/step-1/manifest.json", "data.parquet"):
        objects.put_bytes(prefix / name, b"x")
    async with start():
        script.ready.append(step := behaves("storage"))
        await script.outcome(step)
        script.ready.append(step := behaves("ok"))
        assert len(objects.list(prefix / "")) == 2
        await script.outcome(step)
        await _until(lambda: [info.path for info in objects.list(prefix / "")] == [prefix / "data.parquet"])


async def test_what_nobody_tidied_is_freed_later(
    settings: Settings,
    script: Any,
    orchestrator: Bus,
    database: Database,
    objects: Objects,
    run_id: str,
    tmp_path: Path,
) -> None:
    """Because its worker died, because it was cancelled while nobody worked on it, or because nobody tried again."""
    names = ("checkpoints/step-1/manifest.json", "model/adapter.safetensors")
    for agent in ("one", "two", "gone", "other"):
        for name in names:
            objects.put_bytes(S3Path("artifacts", f"{run_id}/{agent}/{name}"), b"x")
    script.to_free = [
        contract.EndedStep(step_id=number, run_id=run_id, agent_name=agent, cancelled=agent == "gone")
        for number, agent in enumerate(("one", "two", "gone"))
    ]
    bus = await Bus.connect(settings, "trainer")
    try:
        results = Results(database, ObjectStore(objects), tmp_path, "code")
        assert await Leftovers(bus, ObjectStore(objects), results, interval=60).free() == 3
    finally:
        await bus.close()
    assert script.to_free == []
    left = {info.path.key.removeprefix(f"{run_id}/") for info in objects.list(S3Path("artifacts", f"{run_id}/"))}
    kept = {f"{agent}/{names[1]}" for agent in ("one", "two", "other")}
    assert left == kept | {f"other/{names[0]}"}


# Logs


async def test_the_log_of_a_run_is_whole_in_order_and_ends_before_its_step(
    start: Any, script: Any, behaves: Any, log_of: Any, run_id: str
) -> None:
    async with start():
        script.ready.append(step := behaves("chatty"))
        await script.outcome(step)
        records = await log_of(run_id, 2001)
    assert [record.step for record in records[1:]] == list(range(2000))


async def test_failures_are_in_the_log(start: Any, script: Any, behaves: Any, log_of: Any, run_id: str) -> None:
    async with start():
        script.ready.append(step := behaves("die"))
        await script.outcome(step)
        records = await log_of(run_id, 2)
    assert (records[-1].level, records[-1].agent) == ("ERROR", "DatasetAgent")
    assert "killed" in records[-1].message


async def test_a_line_too_long_for_the_bus_is_shortened(start: Any, script: Any, behaves: Any) -> None:
    async with start():
        script.ready.append(step := behaves("large"))
        assert isinstance(await script.outcome(step), StepSucceeded)


# The cache


async def test_an_unchanged_step_is_answered_without_being_run(
    start: Any, script: Any, make_step: MakeStep, put_dataset: Any, objects: Objects, log_of: Any, run_id: str
) -> None:
    path = put_dataset(f"a\n{secrets.token_hex(8)}\n")

    async def ingest(name: str, **options: Any) -> Any:
        shared = GlobalConfig(**options)
        script.ready.append(
            step := make_step("DatasetAgent", {"file_path": path}, agent_name=name, global_config=shared)
        )
        return await script.outcome(step)

    async with start():
        first = await ingest("one")
        assert await ingest("two") == StepSucceeded(output=first.output, cached=True)
        assert not (await ingest("without", use_cache=False)).cached
        objects.put_bytes(S3Path.parse(path), b"a\nother content under the same name\n")
        await ingest("three")
        ran, reused, *ran_again = [record.message for record in await log_of(run_id, 4)]
    assert (ran, ran_again) == ("working", ["working", "working"])
    assert "nothing has changed" in reused


async def test_a_result_of_a_deleted_job_is_not_used_again(
    start: Any, script: Any, make_step: MakeStep, objects: Objects, run_id: str
) -> None:
    """Its objects may go any moment: the orchestrator does not grant it, and in time has it forgotten."""
    made = S3Path("artifacts", f"{run_id}/made/{secrets.token_hex(8)}.csv")
    objects.put_bytes(made, b"a\n1\n")
    config = {"file_path": str(made)}  # the stub's output, too

    async def ingest() -> StepSucceeded:
        script.ready.append(step := make_step("DatasetAgent", config))
        found: StepSucceeded = await script.outcome(step)
        return found

    async with start() as worker:
        assert [(await ingest()).cached, (await ingest()).cached] == [False, True]
        assert script.reused[-1].paths == [str(made)]
        script.grants = False
        assert not (await ingest()).cached
        script.grants = True
        assert (await ingest()).cached
        script.to_forget = ["another", run_id]
        await Leftovers(worker.bus, worker.objects, worker.performer.results, interval=60).forget()
        assert script.to_forget == []
        assert not (await ingest()).cached


async def test_a_result_that_was_not_recorded_answers_no_other_step(
    start: Any, script: Any, make_step: MakeStep, put_dataset: Any
) -> None:
    """The job was cancelled as its step ended, and what that made is removed."""
    config = {"file_path": put_dataset(f"a\n{secrets.token_hex(8)}\n")}
    answered = []
    async with start():
        for script.records in (False, True, True):
            script.ready.append(step := make_step("DatasetAgent", config))
            answered.append((await script.outcome(step)).cached)
    assert answered == [False, False, True]


async def test_a_result_whose_objects_are_gone_or_changed_is_made_again(
    make_step: MakeStep, objects: Objects, database: Database, put_dataset: Any, tmp_path: Path
) -> None:
    step = make_step("DatasetAgent", {"file_path": put_dataset(f"a\n{secrets.token_hex(8)}\n")})
    results = Results(database, ObjectStore(objects), tmp_path, "code")
    key = await results.key_of(step, None)
    assert key is not None
    made = S3Path("artifacts", f"{step.run_id}/dataset/data.parquet")
    output = DatasetOutput(
        dataset_id=None, s3_path=str(made), format="csv", rows=1, columns=["a"], size_bytes=1, sha256="0"
    )
    for spoil in (lambda: objects.remove(made), lambda: objects.put_bytes(made, b"other")):
        objects.put_bytes(made, b"rows")
        await results.keep(key, output)
        assert await results.find(key) == output
        spoil()
        assert await results.find(key) is None
