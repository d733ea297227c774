"""A plan survives the death of the process that carries it out, and nothing that was finished is done twice."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from common.bus import Bus
from common.service import Service
from contracts.tasks import CREATE_TASK, GET_TASK, CreateTask, GetTask, Task
from orchestrator.settings import Settings

from .answering import Router
from .conftest import eventually
from .doomed import doomed_orchestrator

PROMPT = "1. Research three engines.\n2. Compare their speed.\n3. Write a recommendation."


async def test_a_killed_plan_goes_on_where_it_was(
    settings: Settings,
    caller: Bus,
    router: Router,
    replica: Callable[[], AbstractAsyncContextManager[Service]],
) -> None:
    working = asyncio.Event()
    dead = asyncio.Event()

    async def hang_in_the_second_step(content: str) -> str:
        instruction = content.splitlines()[-1]
        if instruction == "Compare their speed." and not dead.is_set():
            working.set()
            await asyncio.sleep(60)
        return f"<{instruction}>"

    router.answer = hang_in_the_second_step
    async with doomed_orchestrator(settings):
        task = await caller.ask(CREATE_TASK, CreateTask(prompt=PROMPT), patience=20, timeout=30)
        await asyncio.wait_for(working.wait(), 20)
    dead.set()

    async with replica():

        async def ended() -> Task | None:
            found = await caller.ask(GET_TASK, GetTask(task_id=task.task_id))
            return found if found.status not in ("Planned", "Processing") else None

        done = await eventually(ended, within=20)
    assert (done.status, done.error) == ("Completed", None)
    assert [step.attempt for step in done.details.plan] == [1, 1, 1, 1]
    assert done.details.plan[1].result == "<Compare their speed.>"
    keys = Counter(str(call.idempotency_key).partition("/")[2] for _, call in router.asked)
    # The step that was being worked on is asked again, under the key by which the router knows what it answered before.
    assert keys == {"step 1": 1, "step 2": 2, "step 3": 1, "answer": 1}
