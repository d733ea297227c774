import asyncio

import pytest

from llm_router.engine.limit import Limit


def _soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_what_ends_before_the_limit_is_left_alone() -> None:
    with Limit(_soon(60)):
        await asyncio.sleep(0)

    await asyncio.sleep(0)


async def test_a_wait_past_the_limit_is_a_timeout() -> None:
    with pytest.raises(TimeoutError), Limit(_soon(0.01)):
        await asyncio.Event().wait()

    # Nothing of the cancellation is left.
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


async def test_it_can_be_ended_from_outside() -> None:
    with pytest.raises(TimeoutError), Limit(_soon(60)) as limit:
        asyncio.get_running_loop().call_soon(limit.end)
        await asyncio.Event().wait()


async def test_a_failure_before_the_limit_is_told_as_it_is() -> None:
    with pytest.raises(ValueError, match="broken"), Limit(_soon(60)):
        raise ValueError("broken")


async def test_a_task_that_is_cancelled_stays_cancelled_also_when_its_limit_ends_in_the_same_moment() -> None:
    limits: list[Limit] = []

    async def wait() -> None:
        with Limit(_soon(60)) as limit:
            limits.append(limit)
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    limits[0].end()
    with pytest.raises(asyncio.CancelledError):
        await task
