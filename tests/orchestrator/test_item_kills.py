"""Items of a list survive whoever works on them: what had been answered is not asked again."""

import asyncio

from common.bus import Bus
from contracts.base import Refused
from orchestrator.settings import Settings

from .answering import Router
from .conftest import eventually
from .doomed import doomed_orchestrator
from .test_run_events import Replica, changes, told
from .workflow_runs import contents, ended, get, items_of, start, workflow


async def test_a_killed_orchestrator_costs_no_item_that_had_been_answered(
    settings: Settings, caller: Bus, router: Router, replica: Replica
) -> None:
    dead = asyncio.Event()

    async def hang_from_the_third(content: str) -> str:
        if content not in ("a", "b"):
            await dead.wait()
        return f"<{content}>"

    router.answer = hang_from_the_third
    each = {"name": "each", "says": "{item}", "for_each": "x", "items_at_once": 2}

    async def started() -> int | None:
        try:
            return await start(caller, await workflow(caller, each), x=list("abcde"))
        except Refused:
            return None

    async with doomed_orchestrator(settings):
        run_id = await eventually(started, within=20)

        async def two_have_ended() -> bool:
            return [(one.completed, one.running) for one in (await get(caller, run_id)).items] == [(2, 2)]

        await eventually(two_have_ended)
    dead.set()
    async with replica():
        assert (await ended(caller, run_id)).status == "completed"
        assert await contents(caller, run_id) == {"each": "<a>\n\n<b>\n\n<c>\n\n<d>\n\n<e>"}
        assert [item.status for item in await items_of(caller, run_id)] == ["completed"] * 5
        messages = await told(caller, run_id)
    assert changes(messages) == ["item_completed"] * 5 + ["payload_completed", "workflow_completed"]
    asked = router.contents
    assert {text: asked.count(text) for text in "abe"} == {"a": 1, "b": 1, "e": 1}
