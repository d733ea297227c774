"""Events told and followed on a real NATS server: kept once, in order, read again from a place on."""

import asyncio
import uuid

import pytest

from common.bus import Bus, BusDown, Delivered, Forgotten
from contracts import orchestrator
from contracts.orchestrator import LogRecord
from contracts.topology import ORCHESTRATOR_LOGS

from .talking import log


async def test_what_was_told_twice_is_kept_once_and_followed_in_order(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    for number in (1, 2, 2, 3):
        await orchestrating.publish(
            orchestrator.LOG_RECORDED, log(run_id, str(number)), key=run_id, message_id=f"{run_id}.{number}"
        )
    seen: list[Delivered[LogRecord]] = []
    async for delivered in asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=0):
        seen.append(delivered)
        if len(seen) == 3:
            break
    assert [d.body.message for d in seen] == ["1", "2", "3"]
    assert {d.key for d in seen} == {run_id}


async def test_following_goes_on_after_a_sequence(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    records = [(run_id, f"{run_id}.{n}", log(run_id, str(n))) for n in range(5)]
    await orchestrating.publish_many(orchestrator.LOG_RECORDED, records)
    first = await anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=0))
    again = await anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=first.sequence))
    assert (first.body.message, again.body.message) == ("0", "1")


async def test_following_without_a_place_tells_only_what_is_new(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "old"), key=run_id, message_id=f"{run_id}.old")
    following = asyncio.create_task(anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id)))
    await asyncio.sleep(0.3)
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "new"), key=run_id, message_id=f"{run_id}.new")
    assert (await asyncio.wait_for(following, 5)).body.message == "new"


async def test_what_is_kept_is_told_again_from_a_place_on_and_then_ends(asker: Bus, orchestrating: Bus) -> None:
    run_id, event = uuid.uuid4().hex, orchestrator.LOG_RECORDED
    end = await asker.end_of(event)
    records = [(run_id, f"{run_id}.{n}", log(run_id, str(n))) for n in range(600)]
    await orchestrating.publish_many(event, records)
    whole = [delivered async for delivered in asker.replay(event, key=run_id, after=end)]
    assert [delivered.body.message for delivered in whole] == [str(n) for n in range(600)]
    assert await asker.end_of(event) == whole[-1].sequence
    assert await asker.kept_after(event, end) == end
    rest = [delivered.body.message async for delivered in asker.replay(event, after=whole[-3].sequence)]
    assert rest == ["598", "599"]
    assert [one async for one in asker.replay(event, key="nobody")] == []
    with pytest.raises(Forgotten):
        await anext(asker.replay(event, after=whole[-1].sequence + 1))


async def test_what_is_mentioned_is_heard_by_who_listens(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    orchestrating.mention(orchestrator.LOG_RECORDED, log(run_id, "by the way"), key=run_id)
    heard = await asyncio.wait_for(anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=0)), 5)
    assert heard.body.message == "by the way"


async def test_a_batch_whose_handler_fails_comes_again(orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    attempts = 0
    done = asyncio.Event()

    async def handle(batch: list[Delivered[LogRecord]]) -> None:
        nonlocal attempts
        if any(d.body.run_id == run_id for d in batch):
            attempts += 1
            if attempts == 1:
                raise RuntimeError("not this time")
            done.set()

    consuming = asyncio.create_task(orchestrating.consume(ORCHESTRATOR_LOGS, handle))
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "x"), key=run_id, message_id=run_id)
    await asyncio.wait_for(done.wait(), 10)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    assert attempts == 2


async def test_a_service_may_not_speak_for_another(asker: Bus) -> None:
    record = orchestrator.StepReady(step_id=1, agent_class="DatasetAgent")
    publishing = asker.publish(orchestrator.STEP_READY, record, message_id=uuid.uuid4().hex)
    with pytest.raises(Exception, match="JetStream did not take"):
        await publishing


async def test_messages_that_are_too_large_do_not_use_up_what_may_be_under_way(orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    subject, large = f"logs.v1.run.{run_id}", b"x" * (orchestrating._wire.max_payload + 1)
    for number in range(4001):
        with pytest.raises(BusDown):
            await orchestrating.publish_raw_many([(subject, large, {}, f"{run_id}.{number}")])
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "small"), key=run_id, message_id=run_id)


async def test_followers_that_are_cancelled_as_messages_come_all_end(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex

    async def follow() -> None:
        async for _ in asker.follow(orchestrator.LOG_RECORDED, key=run_id):
            pass

    followers = [asyncio.create_task(follow()) for _ in range(40)]
    await asyncio.sleep(0.5)
    record = (run_id, run_id, log(run_id, "1"))
    telling = asyncio.create_task(orchestrating.publish_many(orchestrator.LOG_RECORDED, [record]))
    # Each is cancelled at another turn of the loop, so that some are at the very moment at which theirs arrives.
    for follower in followers:
        for _ in range(4):
            await asyncio.sleep(0)
        follower.cancel()
    await telling
    _, running = await asyncio.wait(followers, timeout=8)
    for follower in running:
        follower.cancel()
    assert not running


async def test_following_passes_over_what_cannot_be_read(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    subject = orchestrator.LOG_RECORDED.subject_for(run_id)
    await orchestrating.publish_raw_many([(subject, b"{}", {}, f"{run_id}.bad")])
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "good"), key=run_id, message_id=run_id)
    async with asyncio.timeout(5):
        first = await anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=0))
    assert first.body.message == "good"


async def test_a_message_that_cannot_be_handled_holds_up_no_other(orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    handled: set[str] = set()
    done = asyncio.Event()

    async def handle(batch: list[Delivered[LogRecord]]) -> None:
        messages = {d.body.message for d in batch if d.body.run_id == run_id}
        if "bad" in messages and len(handled) < 4:
            raise RuntimeError("not this one")
        handled.update(messages)
        if len(handled) == 5:
            done.set()

    records = [(run_id, f"{run_id}.{name}", log(run_id, name)) for name in ("a", "b", "bad", "c", "d")]
    await orchestrating.publish_many(orchestrator.LOG_RECORDED, records)
    consuming = asyncio.create_task(orchestrating.consume(ORCHESTRATOR_LOGS, handle))
    await asyncio.wait_for(done.wait(), 10)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
