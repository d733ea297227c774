"""Tasks over the bus: answered at once, or planned and carried out (document D)."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from common.bus import Bus
from common.context import Call, Principal, calling
from common.database import Database
from common.service import Service
from contracts.base import RefusalCode, Refused
from contracts.tasks import (
    CANCEL_TASK,
    COUNT_TASKS,
    CREATE_TASK,
    DELETE_PROFILE,
    DELETE_ROLE,
    GET_PROFILE,
    GET_TASK,
    LIST_PROFILES,
    LIST_TASKS,
    PUT_PROFILE,
    TASK_ENDED,
    CountTasks,
    CreateTask,
    GetTask,
    ListPersonas,
    ListTasks,
    NamedPersona,
    PutPersona,
    Task,
)

from .answering import Router
from .conftest import eventually

pytestmark = pytest.mark.usefixtures("service")

QUESTION = "What is the capital of France?"
CHAIN = "1. Research three engines.\n2. Compare their speed.\n3. Write a recommendation."
FAN = "Please do these tasks:\n- Write a product description\n- Create five slogans\n- Draft a press release"


async def create(bus: Bus, prompt: str, **options: str) -> Task:
    return await bus.ask(CREATE_TASK, CreateTask(prompt=prompt, **options))


async def get(bus: Bus, task: Task) -> Task:
    return await bus.ask(GET_TASK, GetTask(task_id=task.task_id))


async def cancel(bus: Bus, task_id: str) -> Task:
    return await bus.ask(CANCEL_TASK, GetTask(task_id=task_id))


async def ended(bus: Bus, task: Task) -> Task:
    async def look() -> Task | None:
        found = await get(bus, task)
        return found if found.status not in ("Planned", "Processing") else None

    return await eventually(look)


async def only_task(bus: Bus) -> str:
    """The id of the one task there is, which its own caller does not know yet."""

    async def look() -> str | None:
        items = (await bus.ask(LIST_TASKS, ListTasks())).items
        return items[0].task_id if items else None

    return await eventually(look)


def for_ever(started: asyncio.Event) -> Callable[[str], "asyncio.Future[str]"]:
    """An answer that never comes."""

    async def answer(_: str) -> str:
        started.set()
        await asyncio.Event().wait()
        return ""

    return answer  # type: ignore[return-value]


# Answered directly


async def test_a_question_is_answered_at_once_under_both_system_prompts(
    caller: Bus, router: Router, database: Database
) -> None:
    principal = Principal(id="key_1", name="test", role="member")
    with calling(Call(principal=principal)):
        task = await create(caller, QUESTION, profile="Coder", role="Reviewer")
        assert await get(caller, task) == task
    assert (task.status, task.result, task.error) == ("Completed", f"<{QUESTION}>", None)
    assert task.details.analysis.decision == "direct"
    assert task.details.plan == []

    ((chat, call),) = router.asked
    assert call.principal == principal
    assert (chat.model, chat.route) == ("default", "task")
    assert [message.role for message in chat.messages] == ["system", "user"]
    system = str(chat.messages[0].content)
    assert system.index("critical reviewer") < system.index("fenced blocks")
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM runs") == 0


async def test_what_the_router_refuses_fails_the_task_with_its_reason(caller: Bus, router: Router) -> None:
    async def refuse(_: str) -> str:
        raise Refused(RefusalCode.ENGINE_UNAVAILABLE, "No engine is up")

    router.answer = refuse
    task = await create(caller, QUESTION)
    assert (task.status, task.result, task.error) == ("Failed", None, "No engine is up")
    assert (await get(caller, task)).details.finished_at


async def test_a_task_outlives_the_caller_that_lost_patience(caller: Bus, router: Router) -> None:
    release = asyncio.Event()

    async def slowly(content: str) -> str:
        await release.wait()
        return content

    router.answer = slowly
    with pytest.raises(Refused) as refused:
        await caller.ask(CREATE_TASK, CreateTask(prompt=QUESTION), timeout=1.5)
    release.set()
    assert refused.value.code is RefusalCode.TIMEOUT

    async def completed() -> bool:
        return (await caller.ask(LIST_TASKS, ListTasks(status="Completed"))).total == 1

    await eventually(completed)


async def test_cancelling_stops_the_engine_and_answers_whoever_waits(caller: Bus, router: Router) -> None:
    started = asyncio.Event()
    router.answer = for_ever(started)
    waiting = asyncio.create_task(create(caller, QUESTION))
    await started.wait()
    task_id = await only_task(caller)
    assert (await cancel(caller, task_id)).status == "Cancelled"
    assert (await waiting).status == "Cancelled"

    async def stopped() -> bool:
        return router.stopped == 1

    await eventually(stopped)
    assert (await cancel(caller, task_id)).status == "Cancelled"


async def test_another_process_hears_of_a_cancel_with_its_next_beat(
    caller: Bus, router: Router, database: Database
) -> None:
    started = asyncio.Event()
    router.answer = for_ever(started)
    waiting = asyncio.create_task(create(caller, QUESTION))
    await started.wait()
    async with database.connection() as connection:
        await connection.execute("UPDATE tasks SET status = 'Cancelled', finished_at = clock_timestamp()")
    assert (await asyncio.wait_for(waiting, 5)).status == "Cancelled"


async def test_what_has_ended_cannot_be_cancelled(caller: Bus, router: Router) -> None:
    task = await create(caller, QUESTION)
    with pytest.raises(Refused, match="completed already") as refused:
        await cancel(caller, task.task_id)
    assert refused.value.code is RefusalCode.CONFLICT


async def test_an_answer_whose_process_died_ends_as_failed(caller: Bus, database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO tasks (task_id, owner, prompt, profile, role, analysis, status, lease_until) VALUES"
            " ('task_dead', '', 'x', 'General', 'Chat-Agent',"
            ' \'{"decision": "direct", "score": 0, "threshold": 3, "signals": []}\', \'Processing\', now())'
        )

    async def failed() -> Task | None:
        found = await caller.ask(GET_TASK, GetTask(task_id="task_dead"))
        return found if found.status == "Failed" else None

    assert (await eventually(failed)).error == "The process that was answering stopped"


@pytest.mark.parametrize("settings", [{"lease_seconds": 2.0}], indirect=True)
async def test_the_lease_of_a_long_answer_is_kept(caller: Bus, router: Router) -> None:
    async def slowly(content: str) -> str:
        await asyncio.sleep(2.6)
        return content

    router.answer = slowly
    assert (await create(caller, QUESTION)).status == "Completed"


# Planned


async def test_a_plan_is_told_at_once_and_carried_out_step_by_step(caller: Bus, router: Router) -> None:
    release = asyncio.Event()

    async def when_released(content: str) -> str:
        await release.wait()
        return f"<{content.splitlines()[-1]}>"

    router.answer = when_released
    owner = Call(principal=Principal(id="key_1", name="test", role="member"))
    with calling(owner):
        task = await create(caller, CHAIN)
    assert (task.status, task.result, task.error) == ("Planned", None, None)
    assert [(step.name, step.needs) for step in task.details.plan] == [
        ("step 1", []),
        ("step 2", ["step 1"]),
        ("step 3", ["step 2"]),
        ("answer", ["step 3"]),
    ]

    async def processing() -> bool:
        return (await get(caller, task)).status == "Processing"

    with calling(owner):
        await eventually(processing)
        release.set()
        done = await ended(caller, task)
    plan = done.details.plan
    assert done.status == "Completed", done.error
    assert done.result == plan[-1].result
    assert [step.status for step in plan] == ["completed"] * 4
    assert plan[1].result == "<Compare their speed.>"
    # Each step sees the task, and what the steps before it found out.
    assert len(router.asked) == 4
    assert all(CHAIN in content for content in router.contents)
    assert "<Research three engines.>" not in router.contents[0]
    assert "<Research three engines.>" in router.contents[1]
    assert router.contents[3].index("<Research three engines.>") < router.contents[3].index("<Write a recommendation.>")
    keys = [call.idempotency_key for _, call in router.asked]
    run_id = task.task_id.removeprefix("task_")
    assert keys == [f"{run_id}/{name}" for name in ("step 1", "step 2", "step 3", "answer")]
    assert {call.principal.id for _, call in router.asked if call.principal} == {"key_1"}


async def test_steps_that_need_nothing_of_each_other_run_side_by_side(caller: Bus, router: Router) -> None:
    together = asyncio.Barrier(3)

    async def meet(content: str) -> str:
        if "Result of" not in content:
            await together.wait()
        return "x"

    router.answer = meet
    assert (await ended(caller, await create(caller, FAN))).status == "Completed"


async def test_a_step_whose_engine_is_away_is_tried_again(caller: Bus, router: Router) -> None:
    failures = [Refused(RefusalCode.ENGINE_UNAVAILABLE, "No engine is up")] * 2

    async def at_last(_: str) -> str:
        if failures:
            raise failures.pop()
        return "x"

    router.answer = at_last
    done = await ended(caller, await create(caller, CHAIN))
    assert (done.status, done.details.plan[0].attempt, done.details.plan[0].error) == ("Completed", 3, None)


async def test_a_step_that_cannot_succeed_fails_the_task_with_its_reason(caller: Bus, router: Router) -> None:
    async def too_long(content: str) -> str:
        if content.endswith("Compare their speed."):
            raise Refused(RefusalCode.INVALID, "The context is too long", {"temporary": False})
        return "x"

    router.answer = too_long
    done = await ended(caller, await create(caller, CHAIN))
    assert (done.status, done.error) == ("Failed", "step 2: The context is too long")
    assert [step.status for step in done.details.plan] == ["completed", "failed", "skipped", "skipped"]
    assert done.details.plan[1].error == "The context is too long"


async def test_a_plan_can_be_cancelled_and_tells_its_end(caller: Bus, router: Router) -> None:
    started = asyncio.Event()
    router.answer = for_ever(started)
    task = await create(caller, CHAIN)
    await started.wait()
    cancelled = await cancel(caller, task.task_id)
    assert (cancelled.status, cancelled.details.plan[1].status) == ("Cancelled", "cancelled")

    async def stopped() -> bool:
        return router.stopped == 1 and (await get(caller, task)).details.plan[0].status == "cancelled"

    await eventually(stopped)
    # From the first that is kept: those of other tests are among them.
    async with asyncio.timeout(20), aclosing(caller.follow(TASK_ENDED, after=0)) as events:
        told = await anext(event.body async for event in events if event.body.task_id == task.task_id)
    assert told.status == "Cancelled"


# A machine that stalls for a moment must not look like a process that died.
@pytest.mark.parametrize("settings", [{"lease_seconds": 20.0}], indirect=True)
async def test_a_plan_moves_to_another_process_when_its_own_ends(
    caller: Bus, router: Router, replica: Callable[[], AbstractAsyncContextManager[Service]]
) -> None:
    async def soon(content: str) -> str:
        await asyncio.sleep(0.1)
        return "x"

    router.answer = soon
    async with replica():
        tasks = [await create(caller, CHAIN) for _ in range(4)]
    done = [await ended(caller, task) for task in tasks]
    assert [task.status for task in done] == ["Completed"] * 4
    assert all(step.attempt == 1 for task in done for step in task.details.plan)


# Asking again, listing, counting


async def test_a_repeated_key_answers_with_the_first_task(caller: Bus, router: Router) -> None:
    with calling(Call(idempotency_key="k")):
        first, second = await asyncio.gather(create(caller, QUESTION), create(caller, QUESTION))
        third = await create(caller, QUESTION)
        with pytest.raises(Refused, match="another task") as refused:
            await create(caller, CHAIN)
    assert first.task_id == second.task_id == third.task_id
    assert third.status == "Completed"
    assert refused.value.code is RefusalCode.CONFLICT
    assert [call.idempotency_key for _, call in router.asked] == [None]


async def test_tasks_are_listed_newest_first_and_by_status(caller: Bus, router: Router) -> None:
    direct = [await create(caller, f"{QUESTION} {'x' * 300}") for _ in range(2)]
    planned = await create(caller, CHAIN)
    await ended(caller, planned)
    page = await caller.ask(LIST_TASKS, ListTasks(limit=2))
    assert [item.task_id for item in page.items] == [planned.task_id, direct[1].task_id]
    assert (page.total, page.has_more, len(page.items[1].prompt)) == (3, True, 200)
    assert (await caller.ask(LIST_TASKS, ListTasks(status="Completed", offset=2))).items[0].task_id == direct[0].task_id
    assert (await caller.ask(LIST_TASKS, ListTasks(status="Planned"))).total == 0


async def test_tasks_are_counted_by_how_they_stand_and_ended(caller: Bus, router: Router) -> None:
    await create(caller, QUESTION)
    await ended(caller, await create(caller, FAN))
    started = asyncio.Event()
    router.answer = for_ever(started)
    task = await create(caller, CHAIN)
    await started.wait()
    counts = await caller.ask(COUNT_TASKS, CountTasks())
    assert (counts.active, counts.waiting, counts.completed, counts.failed) == (1, 0, 2, 0)
    await cancel(caller, task.task_id)


async def test_there_is_no_such_task(caller: Bus) -> None:
    for task_id in ("task_0", "job_0", "task_" + "x" * 100, ""):
        for rpc in (GET_TASK, CANCEL_TASK):
            with pytest.raises(Refused) as refused:
                await caller.ask(rpc, GetTask(task_id=task_id))
            assert refused.value.code is RefusalCode.NOT_FOUND


# Profiles and roles


async def test_unknown_profiles_and_roles_are_refused_with_the_known_ones(caller: Bus, database: Database) -> None:
    with pytest.raises(Refused) as refused:
        await create(caller, QUESTION, profile="general", role="Nobody")
    errors = refused.value.metadata["errors"]
    assert refused.value.code is RefusalCode.INVALID
    assert [error["field"] for error in errors] == ["profile", "role"]
    assert "General" in errors[0]["message"]
    assert "Chat-Agent" in errors[1]["message"]
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tasks") == 0


async def test_profiles_are_made_changed_and_deleted(caller: Bus, router: Router) -> None:
    made = await caller.ask(PUT_PROFILE, PutPersona(name="Pirate", system_prompt="Talk like a pirate."))
    assert await caller.ask(GET_PROFILE, NamedPersona(name="Pirate")) == made
    await caller.ask(PUT_PROFILE, PutPersona(name="Pirate", system_prompt="Talk like a captain."))
    await create(caller, QUESTION, profile="Pirate")
    assert "like a captain" in str(router.asked[0][0].messages[0].content)
    names = [item.name for item in (await caller.ask(LIST_PROFILES, ListPersonas(limit=100))).items]
    assert {"General", "Coder", "Writer", "Analyst", "Pirate"} <= set(names)
    assert (await caller.ask(DELETE_PROFILE, NamedPersona(name="Pirate"))).name == "Pirate"
    with pytest.raises(Refused, match="there are Analyst"):
        await caller.ask(DELETE_PROFILE, NamedPersona(name="Pirate"))


async def test_a_plan_keeps_the_prompts_it_started_with(caller: Bus, router: Router) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def when_released(_: str) -> str:
        started.set()
        await release.wait()
        return "x"

    router.answer = when_released
    await caller.ask(PUT_PROFILE, PutPersona(name="Pirate", system_prompt="Talk like a pirate."))
    task = await create(caller, CHAIN, profile="Pirate")
    await started.wait()
    await caller.ask(DELETE_PROFILE, NamedPersona(name="Pirate"))
    release.set()
    assert (await ended(caller, task)).status == "Completed"
    assert all("like a pirate" in str(chat.messages[0].content) for chat, _ in router.asked)


async def test_what_tasks_have_by_default_cannot_be_deleted(caller: Bus) -> None:
    for rpc, name in ((DELETE_PROFILE, "General"), (DELETE_ROLE, "Chat-Agent")):
        with pytest.raises(Refused) as refused:
            await caller.ask(rpc, NamedPersona(name=name))
        assert refused.value.code is RefusalCode.CONFLICT


async def test_a_task_is_its_callers_alone_and_an_admins(caller: Bus, router: Router) -> None:
    mine, other, root = (
        Call(principal=Principal(id=name, name=name, role=role))
        for name, role in (("p", "member"), ("q", "member"), ("root", "admin"))
    )
    with calling(mine):
        task = await create(caller, QUESTION)
    with calling(other):
        for rpc in (GET_TASK, CANCEL_TASK):
            with pytest.raises(Refused) as refused:
                await caller.ask(rpc, GetTask(task_id=task.task_id))
            assert refused.value.code is RefusalCode.NOT_FOUND
        assert (await caller.ask(LIST_TASKS, ListTasks())).total == 0
    for seeing in (mine, root):
        with calling(seeing):
            assert (await get(caller, task)).task_id == task.task_id
            assert (await caller.ask(LIST_TASKS, ListTasks())).total == 1
