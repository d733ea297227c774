"""An execution whose process is killed fails clearly and soon, and is never done twice."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from common.bus import Bus
from common.context import Call, calling
from common.service import Service
from contracts.actions import GET_ACTION_RUN, ActionRun, GetActionRun
from contracts.base import RefusalCode, Refused
from orchestrator.settings import Settings

from .answering import Router
from .asking import entered, execute, new_action, refused
from .conftest import eventually
from .doomed import doomed_orchestrator


async def never(_: str) -> str:
    await asyncio.Event().wait()
    return ""


async def test_a_killed_execution_fails_clearly_and_is_not_done_again(
    settings: Settings,
    caller: Bus,
    router: Router,
    replica: Callable[[], AbstractAsyncContextManager[Service]],
) -> None:
    async with replica():
        action = await new_action(caller)
    router.answer = never
    async with doomed_orchestrator(settings) as doomed:
        await eventually(lambda: is_served(caller, action.id), within=20)
        with calling(Call(idempotency_key="once")):
            async with entered(caller, action.id, seed="x") as (run_id, waiting):
                await eventually(lambda: asyncio.sleep(0, router.asked))
                doomed.send_signal(signal.SIGKILL)
                await doomed.wait()
                killed = time.monotonic()
                async with refused(RefusalCode.UNAVAILABLE):
                    await waiting
        assert time.monotonic() - killed < 10, "the caller is told within seconds"

    async with replica():

        async def ended() -> ActionRun | None:
            run = await caller.ask(GET_ACTION_RUN, GetActionRun(action_id=action.id, run_id=run_id))
            return run if run.status != "running" else None

        run = await eventually(ended)
        assert (run.status, run.error and run.error.type) == ("failed", "interrupted")
        assert run.error is not None
        assert run.error.temporary
        with calling(Call(idempotency_key="once")):
            async with refused(RefusalCode.UNAVAILABLE) as refusal:
                await execute(caller, action.id, seed="x")
        assert refusal.metadata["details"]["run_id"] == [str(run_id)]
        assert len(router.asked) == 1


async def is_served(caller: Bus, action_id: int) -> bool:
    try:
        await caller.ask(GET_ACTION_RUN, GetActionRun(action_id=action_id, run_id=1), patience=0.1)
    except Refused as refusal:
        return refusal.code is RefusalCode.NOT_FOUND
    return True


async def test_an_orchestrator_that_is_stopped_fails_what_it_cannot_finish(
    caller: Bus, router: Router, replica: Callable[[], AbstractAsyncContextManager[Service]]
) -> None:
    router.answer = never
    async with replica() as service:
        action = await new_action(caller)
        async with entered(caller, action.id, seed="x") as (run_id, _):
            await eventually(lambda: asyncio.sleep(0, router.asked))
        await service.stack.aclose()
    async with replica():
        run = await caller.ask(GET_ACTION_RUN, GetActionRun(action_id=action.id, run_id=run_id))
    assert (run.status, run.error and run.error.type) == ("failed", "interrupted")
