"""Blocks, payloads, workflows, their runs and events, instances and tasks by the SDK for Python."""

from collections.abc import AsyncIterator

import pytest

from embedded.platform import Platform
from llm_platform import (
    AsyncClient,
    Client,
    Conflict,
    NotFound,
)

pytestmark = pytest.mark.e2e


@pytest.fixture
async def asynchronous(platform: Platform) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(platform.url + "/api/v1", platform.admin_key) as client:
        yield client


def test_a_workflow_is_put_together_executed_watched_and_compared(sdk: Client, port: int) -> None:
    block = sdk.blocks.create(title="First", content="Name three {thing}.", tags="a,b", folder_path="sdk")
    assert sdk.blocks.list(folder="sdk", tag="a") == [block]
    assert sdk.blocks.update(block.id, content="Name five {thing}.").content == "Name five {thing}."
    payload = sdk.payloads.create(name="Initial", llm_port=port, response_length=20, blocks=[block.id])
    assert [each.id for each in sdk.payloads.get(payload.id).blocks] == [block.id]
    workflow = sdk.workflows.create(name="Analysis", payloads=[payload.id])
    started = sdk.workflows.execute(workflow.id, {"thing": "rivers"})
    seen = list(sdk.runs.follow(started.run_id))
    assert seen[-1].type == "workflow_completed"
    assert list(sdk.runs.follow(started.run_id, after=seen[0].id)) == seen[1:]
    run = sdk.runs.wait(started.run_id)
    assert run.status == "completed"
    assert run.responses == sdk.runs.responses(run.id)
    again = sdk.runs.wait(sdk.runs.fork(run.id, inputs={"thing": "lakes"}).run_id)
    compared = sdk.runs.compare(run.id, again.id)
    assert (compared.run.id, compared.other.id) == (run.id, again.id)
    assert again.id in [each.id for each in sdk.runs.list(workflow_id=workflow.id)]
    copy = sdk.workflows.import_document(sdk.workflows.export(workflow.id))
    schedule = sdk.workflows.create_schedule(copy.id, cron="0 0 1 1 *", inputs={"thing": "x"}, enabled=False)
    assert [each.id for each in sdk.workflows.schedules(copy.id)] == [schedule.id]
    assert sdk.workflows.create_webhook(copy.id, name="hook").url.startswith("/api/hooks/")
    with pytest.raises(Conflict):
        sdk.runs.resume(run.id)
    with pytest.raises(NotFound):
        sdk.workflows.execute(10**9)
    sdk.workflows.delete(workflow.id)
    sdk.payloads.delete(payload.id, force=True)
    sdk.blocks.delete(block.id, force=True)


async def test_events_come_over_the_web_socket(asynchronous: AsyncClient, port: int) -> None:
    client = asynchronous
    block = await client.blocks.create(title="Watched", content="Name a river.")
    payload = await client.payloads.create(name="Only", llm_port=port, response_length=10, blocks=[block.id])
    workflow = await client.workflows.create(name="Watched", payloads=[payload.id])
    started = await client.workflows.execute(workflow.id)
    types = []
    async with client.events.watch(run_id=started.run_id, after=0) as events:
        async for event in events:
            types.append(event.type)
            if event.type.startswith("workflow_"):
                break
    assert types[-2:] == ["payload_completed", "workflow_completed"]


def test_events_are_heard_by_a_blocking_client_too(sdk: Client, port: int) -> None:
    block = sdk.blocks.create(title="Heard", content="Name a lake.")
    payload = sdk.payloads.create(name="Heard", llm_port=port, response_length=10, blocks=[block.id])
    workflow = sdk.workflows.create(name="Heard", payloads=[payload.id])
    run_id = sdk.workflows.execute(workflow.id).run_id
    with sdk.events.watch(run_id=run_id, after=0) as events:
        last = next(event for event in events if event.type.startswith("workflow_"))
    assert last.data.run_id == run_id  # type: ignore[union-attr]


def test_instances_are_told_tried_and_registered(sdk: Client, port: int) -> None:
    assert sdk.instances.get(port) in sdk.instances.list()
    assert sdk.instances.test(port).connected
    assert sdk.instances.info(port).model_info
    with pytest.raises(NotFound) as missing:
        sdk.instances.get(4999)
    assert missing.value.code == "http_404"


def test_tasks_are_answered_or_planned(sdk: Client) -> None:
    assert sdk.tasks.create(prompt="What is the capital of France?").status == "Completed"
    planned = sdk.tasks.create(prompt="1. Name three engines.\n2. Compare their speed.\n3. Recommend one.")
    assert planned.task_id is not None
    assert sdk.tasks.wait(planned.task_id).status == "Completed"
    assert planned.task_id in [task.task_id for task in sdk.tasks.list()]
    sdk.profiles.put("Editor", system_prompt="Correct, do not rewrite.")
    assert sdk.profiles.get("Editor").system_prompt == "Correct, do not rewrite."
    assert "Chat-Agent" in [role.name for role in sdk.roles.list()]
    sdk.profiles.delete("Editor")
    with pytest.raises(NotFound, match="no such task"):
        sdk.tasks.get("nobody")
