"""Direct answers in moments that hardly ever come together."""

import asyncio

from common.database import Database
from contracts.tasks import CreateTask
from orchestrator.deps import Deps
from orchestrator.engine import direct
from orchestrator.handlers.tasks import create_task

from .answering import Router
from .conftest import eventually


async def test_an_answer_that_is_being_written_down_is_stopped_no_more(
    deps: Deps, database: Database, router: Router
) -> None:
    """A beat sees that a task has ended before the process that ended it does, and stops what works on it."""
    asked, locked = asyncio.Event(), asyncio.Event()

    async def once_the_row_is_locked(content: str) -> str:
        asked.set()
        await locked.wait()
        return content

    async def is_being_written() -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    router.answer = once_the_row_is_locked
    creating = asyncio.create_task(create_task(deps, CreateTask(prompt="What is the capital of France?")))
    await asyncio.wait_for(asked.wait(), 10)
    (task_id,) = deps.answering
    async with database.transaction() as connection:
        await connection.execute("SELECT 1 FROM tasks WHERE task_id = $1 FOR UPDATE", task_id)
        locked.set()
        await eventually(is_being_written)
        direct.stop(deps, task_id)
        await asyncio.sleep(0.1)
    task = await asyncio.wait_for(creating, 10)
    assert (task.status, task.result) == ("Completed", "What is the capital of France?")
