"""Blocks, payloads and workflows over the bus: order kept, versions that never change, references that stay true."""

import asyncio
from typing import Any

import asyncpg
import pytest

from common.bus import Bus
from common.database import Database
from contracts.base import RefusalCode
from contracts.workflows import (
    CREATE_BLOCK,
    CREATE_PAYLOAD,
    CREATE_WORKFLOW,
    DELETE_BLOCK,
    DELETE_PAYLOAD,
    DELETE_WORKFLOW,
    EXPORT_WORKFLOW,
    GET_BLOCK,
    GET_PAYLOAD,
    GET_WORKFLOW,
    IMPORT_WORKFLOW,
    LIST_BLOCK_VERSIONS,
    LIST_BLOCKS,
    LIST_PAYLOAD_VERSIONS,
    LIST_PAYLOADS,
    LIST_WORKFLOW_VERSIONS,
    LIST_WORKFLOWS,
    LONGEST_PROMPT,
    PREVIEW_PAYLOAD,
    RESTORE_BLOCK,
    RESTORE_PAYLOAD,
    RESTORE_WORKFLOW,
    UPDATE_BLOCK,
    UPDATE_PAYLOAD,
    UPDATE_WORKFLOW,
    Block,
    CreateBlock,
    CreatePayload,
    CreateWorkflow,
    DeleteBlock,
    DeletePayload,
    GetBlock,
    GetPayload,
    GetWorkflow,
    ListBlocks,
    ListBlockVersions,
    ListPayloads,
    ListPayloadVersions,
    ListWorkflows,
    ListWorkflowVersions,
    Payload,
    PreviewPayload,
    RestoreBlock,
    RestorePayload,
    RestoreWorkflow,
    UpdateBlock,
    UpdatePayload,
    UpdateWorkflow,
    Workflow,
    WorkflowDocument,
)
from orchestrator.domain.workflows.snapshots import snapshot
from orchestrator.store import workflows as store

from .answering import Router
from .asking import refused

pytestmark = pytest.mark.usefixtures("service")


async def new_block(bus: Bus, content: str = "text", **fields: Any) -> Block:
    return await bus.ask(CREATE_BLOCK, CreateBlock(**({"title": "Block", "content": content} | fields)))


async def new_payload(bus: Bus, name: str, *blocks: int, **fields: Any) -> Payload:
    request = {"name": name, "llm_port": 5001, "model_format": "mistral", "blocks": list(blocks)} | fields
    return await bus.ask(CREATE_PAYLOAD, CreatePayload(**request))


async def new_workflow(bus: Bus, *payloads: Payload, **fields: Any) -> Workflow:
    request = {"name": "Analysis", "payloads": [payload.id for payload in payloads]} | fields
    return await bus.ask(CREATE_WORKFLOW, CreateWorkflow(**request))


# Blocks


async def test_an_older_version_is_restored_as_the_next(caller: Bus) -> None:
    block = await caller.ask(CREATE_BLOCK, CreateBlock(title="t", content="first", tags="a"))
    other = await caller.ask(CREATE_BLOCK, CreateBlock(title="t", content="other"))
    payload = await caller.ask(CREATE_PAYLOAD, CreatePayload(name="p", llm_port=5001, blocks=[block.id], retries=2))
    made = await caller.ask(CREATE_WORKFLOW, CreateWorkflow(name="w", payloads=[payload.id], inputs={"x": "1"}))
    await caller.ask(UPDATE_BLOCK, UpdateBlock(block_id=block.id, content="second"))
    await caller.ask(UPDATE_PAYLOAD, UpdatePayload(payload_id=payload.id, blocks=[other.id], retries=None))
    await caller.ask(UPDATE_WORKFLOW, UpdateWorkflow(workflow_id=made.id, payloads=[], inputs=None))

    restored = await caller.ask(RESTORE_BLOCK, RestoreBlock(block_id=block.id, version=1))
    assert (restored.content, restored.tags) == ("first", "a")
    back = await caller.ask(RESTORE_PAYLOAD, RestorePayload(payload_id=payload.id, version=1))
    assert ([one.id for one in back.blocks], back.retries) == ([block.id], 2)
    whole = await caller.ask(RESTORE_WORKFLOW, RestoreWorkflow(workflow_id=made.id, version=1))
    assert ([one.id for one in whole.payloads], whole.inputs) == ([payload.id], {"x": "1"})
    versions = await caller.ask(LIST_BLOCK_VERSIONS, ListBlockVersions(block_id=block.id))
    assert [(one.version, one.content) for one in versions.items] == [(3, "first"), (2, "second"), (1, "first")]

    unknown = RestoreBlock(block_id=block.id, version=4)
    async with refused(RefusalCode.NOT_FOUND):
        await caller.ask(RESTORE_BLOCK, unknown)
    await caller.ask(DELETE_BLOCK, DeleteBlock(block_id=other.id))
    async with refused(RefusalCode.INVALID):
        await caller.ask(RESTORE_PAYLOAD, RestorePayload(payload_id=payload.id, version=2))


async def test_a_prompt_is_previewed_with_what_is_missing_named(caller: Bus, router: Router) -> None:
    block = await caller.ask(CREATE_BLOCK, CreateBlock(title="t", content="About {topic} and {Other one}: {{topic}}"))
    code = await caller.ask(CREATE_BLOCK, CreateBlock(title="t", content="{1: 2} {topic}"))
    payload = await caller.ask(
        CREATE_PAYLOAD,
        CreatePayload(name="p", llm_port=5001, blocks=[block.id, code.id], model_format="mistral"),
    )
    shown = await caller.ask(
        PREVIEW_PAYLOAD, PreviewPayload(payload_id=payload.id, inputs={"topic": ["a", "b"], "x": 1})
    )
    assert shown.prompt == "About a, b and {Other one}: {topic}\n\n{1: 2} a, b"
    assert (shown.text, shown.characters) == (f"[INST] {shown.prompt} [/INST]", len(shown.prompt))
    assert (shown.used, shown.missing, router.asked, router.texts) == (["topic"], ["Other one"], [], [])


async def test_a_block_changes_in_versions_and_the_same_again_is_none(caller: Bus) -> None:
    block = await new_block(caller, "one", tags="intro,greeting", folder_path="Common")
    assert block.created_at == block.updated_at
    assert await caller.ask(UPDATE_BLOCK, UpdateBlock(block_id=block.id, content="one")) == block
    changed = await caller.ask(UPDATE_BLOCK, UpdateBlock(block_id=block.id, content="two", tags=""))
    assert (changed.content, changed.tags, changed.folder_path) == ("two", "", "Common")
    assert changed.updated_at > changed.created_at == block.created_at
    assert await caller.ask(GET_BLOCK, GetBlock(block_id=block.id)) == changed
    page = await caller.ask(LIST_BLOCK_VERSIONS, ListBlockVersions(block_id=block.id))
    assert [(item.version, item.content, item.tags) for item in page.items] == [
        (2, "two", ""),
        (1, "one", "intro,greeting"),
    ]


async def test_versions_never_change_whatever_a_query_says(caller: Bus, database: Database) -> None:
    payload = await new_payload(caller, "P", (await new_block(caller)).id)
    await new_workflow(caller, payload)
    for table in ("block_versions", "payload_versions", "payload_blocks", "workflow_versions", "workflow_payloads"):
        async with database.connection() as connection:
            for sql in (f"UPDATE {table} SET id = DEFAULT", f"DELETE FROM {table}"):
                with pytest.raises(asyncpg.RaiseError, match="never changes"):
                    await connection.execute(sql)


async def test_blocks_are_found_by_folder_tag_and_text(caller: Bus) -> None:
    name = "Ünique 50%_x"
    top = await new_block(caller, "Hello", title=name, tags="alpha, Beta", folder_path="Find")
    inner = await new_block(caller, f"in here: {name.lower()}", tags="beta", folder_path="Find/Deep")
    await new_block(caller, tags="alphabet", folder_path="Finder")

    async def found(**wanted: str) -> list[int]:
        page = await caller.ask(LIST_BLOCKS, ListBlocks(**wanted))
        return [block.id for block in page.blocks]

    assert await found(folder="Find") == await found(folder="Find/") == [top.id, inner.id]
    assert await found(folder="Find/Deep") == [inner.id]
    assert await found(folder="Find", tag="BETA") == [top.id, inner.id]
    assert await found(folder="Find", tag="alpha") == [top.id]
    assert await found(search="ÜNIQUE 50%_") == [top.id, inner.id]
    assert await found(search="nowhere to be found") == []
    assert await found(after=str(top.id), folder="Find") == [inner.id]


async def test_a_list_that_does_not_fit_is_told_in_parts(caller: Bus) -> None:
    made = [await new_block(caller, "x" * 190_000, folder_path="Large") for _ in range(12)]
    page = await caller.ask(LIST_BLOCKS, ListBlocks(folder="Large"))
    assert page.more
    rest = await caller.ask(LIST_BLOCKS, ListBlocks(folder="Large", after=page.blocks[-1].id))
    assert [block.id for block in page.blocks + rest.blocks] == [block.id for block in made]
    assert not rest.more


async def test_a_used_block_is_deleted_by_force_alone(caller: Bus) -> None:
    used, other = await new_block(caller, "used"), await new_block(caller, "other")
    payload = await new_payload(caller, "Its user", used.id, other.id, used.id)
    async with refused(RefusalCode.CONFLICT) as refusal:
        await caller.ask(DELETE_BLOCK, DeleteBlock(block_id=used.id))
    assert f"Its user ({payload.id})" in refusal.message
    assert refusal.metadata["payloads"] == [payload.id]
    assert await caller.ask(DELETE_BLOCK, DeleteBlock(block_id=used.id, force=True)) == used
    left = await caller.ask(GET_PAYLOAD, GetPayload(payload_id=payload.id))
    assert [(block.id, block.order_index) for block in left.blocks] == [(other.id, 0)]
    versions = await caller.ask(LIST_PAYLOAD_VERSIONS, ListPayloadVersions(payload_id=payload.id))
    assert [item.blocks for item in versions.items] == [[other.id], [used.id, other.id, used.id]]
    for ask in (
        caller.ask(GET_BLOCK, GetBlock(block_id=used.id)),
        caller.ask(DELETE_BLOCK, DeleteBlock(block_id=used.id)),
    ):
        async with refused(RefusalCode.NOT_FOUND) as refusal:
            await ask
        assert refusal.message == "Block not found"
    assert await caller.ask(DELETE_BLOCK, DeleteBlock(block_id=(await new_block(caller)).id))


# Payloads


async def test_a_payload_keeps_its_blocks_in_order_and_shows_their_newest_texts(caller: Bus) -> None:
    first, second = await new_block(caller, "1", title="A"), await new_block(caller, "2", title="B")
    payload = await new_payload(caller, "Initial Request", second.id, first.id, second.id)
    assert [(block.id, block.title, block.order_index) for block in payload.blocks] == [
        (second.id, "B", 0),
        (first.id, "A", 1),
        (second.id, "B", 2),
    ]
    await caller.ask(UPDATE_BLOCK, UpdateBlock(block_id=second.id, content="two"))
    assert [block.content for block in (await caller.ask(GET_PAYLOAD, GetPayload(payload_id=payload.id))).blocks] == [
        "two",
        "1",
        "two",
    ]
    page = await caller.ask(LIST_PAYLOADS, ListPayloads(block_id=first.id))
    assert [found.id for found in page.payloads] == [payload.id]
    page = await caller.ask(LIST_PAYLOADS, ListPayloads(block_id=first.id, search="initial"))
    assert [found.id for found in page.payloads] == [payload.id]
    assert not (await caller.ask(LIST_PAYLOADS, ListPayloads(block_id=first.id, search="final"))).payloads


async def test_options_are_kept_changed_and_taken_away(caller: Bus) -> None:
    condition = {"payload": "a", "operator": "contains", "value": "x"}
    payload = await new_payload(
        caller, "b", depends_on=[1, "a"], retries=2, timeout=1.5, fallback_port=5002, condition=condition, approval=True
    )
    assert payload.condition is not None
    assert (payload.depends_on, payload.retries, payload.timeout) == ([1, "a"], 2, 1.5)
    changed = await caller.ask(
        UPDATE_PAYLOAD, UpdatePayload(payload_id=payload.id, depends_on=[], fallback_port=None, temperature=0.1)
    )
    assert (changed.depends_on, changed.fallback_port, changed.retries) == ([], None, 2)
    assert (changed.name, changed.temperature, changed.condition) == ("b", 0.1, payload.condition)
    assert await caller.ask(UPDATE_PAYLOAD, UpdatePayload(payload_id=payload.id, temperature=0.1)) == changed
    versions = await caller.ask(LIST_PAYLOAD_VERSIONS, ListPayloadVersions(payload_id=payload.id))
    assert [(item.version, item.fallback_port) for item in versions.items] == [(2, None), (1, 5002)]


async def test_unknown_blocks_are_refused_by_name(caller: Bus) -> None:
    block = await new_block(caller)
    async with refused(RefusalCode.INVALID) as refusal:
        await new_payload(caller, "P", block.id, 999_999, 888_888, 999_999)
    assert refusal.message == "Unknown blocks: 999999, 888888"
    payload = await new_payload(caller, "P", block.id)
    async with refused(RefusalCode.INVALID) as refusal:
        await caller.ask(UPDATE_PAYLOAD, UpdatePayload(payload_id=payload.id, blocks=[999_999]))
    assert await caller.ask(GET_PAYLOAD, GetPayload(payload_id=payload.id)) == payload


async def test_blocks_that_are_too_long_together_are_refused_however_they_become_so(caller: Bus) -> None:
    large = await new_block(caller, "x" * 190_000)
    count = LONGEST_PROMPT // 190_000
    async with refused(RefusalCode.INVALID):
        await new_payload(caller, "P", *[large.id] * (count + 1))
    small = await new_block(caller, "x")
    payload = await new_payload(caller, "P", *[large.id] * count, small.id)
    async with refused(RefusalCode.INVALID) as refusal:
        await caller.ask(UPDATE_BLOCK, UpdateBlock(block_id=small.id, content="x" * 190_000))
    assert "payload 'P'" in refusal.message
    await caller.ask(DELETE_PAYLOAD, DeletePayload(payload_id=payload.id))


async def test_a_used_payload_is_deleted_by_force_unless_others_refer_to_it(caller: Bus) -> None:
    first, second = await new_payload(caller, "first"), await new_payload(caller, "second")
    workflow = await new_workflow(caller, first, second, first, name="W")
    async with refused(RefusalCode.CONFLICT) as refusal:
        await caller.ask(DELETE_PAYLOAD, DeletePayload(payload_id=first.id))
    assert f"W ({workflow.id})" in refusal.message
    await caller.ask(UPDATE_PAYLOAD, UpdatePayload(payload_id=second.id, depends_on=[first.id]))
    async with refused(RefusalCode.INVALID) as refusal:
        await caller.ask(DELETE_PAYLOAD, DeletePayload(payload_id=first.id, force=True))
    assert "'second' depends on" in refusal.message
    await caller.ask(UPDATE_PAYLOAD, UpdatePayload(payload_id=second.id, depends_on=None))
    await caller.ask(DELETE_PAYLOAD, DeletePayload(payload_id=first.id, force=True))
    left = await caller.ask(GET_WORKFLOW, GetWorkflow(workflow_id=workflow.id))
    assert [(payload.id, payload.order_index) for payload in left.payloads] == [(second.id, 0)]


# Workflows


async def test_a_workflow_keeps_its_payloads_in_order_and_changes_in_versions(caller: Bus) -> None:
    one, two = await new_payload(caller, "one"), await new_payload(caller, "two")
    workflow = await new_workflow(caller, one, two, inputs={"topic": None, "tone": "dry"})
    assert [(payload.id, payload.name, payload.order_index) for payload in workflow.payloads] == [
        (one.id, "one", 0),
        (two.id, "two", 1),
    ]
    changed = await caller.ask(
        UPDATE_WORKFLOW, UpdateWorkflow(workflow_id=workflow.id, payloads=[two.id, one.id, two.id])
    )
    assert [payload.id for payload in changed.payloads] == [two.id, one.id, two.id]
    assert (changed.name, changed.inputs) == (workflow.name, {"topic": None, "tone": "dry"})
    renamed = await caller.ask(UPDATE_WORKFLOW, UpdateWorkflow(workflow_id=workflow.id, name="New", inputs=None))
    assert (renamed.name, renamed.inputs, renamed.payloads) == ("New", None, changed.payloads)
    versions = await caller.ask(LIST_WORKFLOW_VERSIONS, ListWorkflowVersions(workflow_id=workflow.id))
    assert [item.payloads for item in versions.items] == [[two.id, one.id, two.id]] * 2 + [[one.id, two.id]]
    page = await caller.ask(LIST_WORKFLOWS, ListWorkflows(payload_id=one.id, search="new"))
    assert [found.id for found in page.workflows] == [workflow.id]
    await caller.ask(DELETE_WORKFLOW, GetWorkflow(workflow_id=workflow.id))
    async with refused(RefusalCode.NOT_FOUND) as refusal:
        await caller.ask(GET_WORKFLOW, GetWorkflow(workflow_id=workflow.id))
    assert refusal.message == "Workflow not found"
    await caller.ask(DELETE_PAYLOAD, DeletePayload(payload_id=one.id))


async def test_references_that_lead_nowhere_are_refused_and_change_nothing(caller: Bus) -> None:
    one, two = await new_payload(caller, "one"), await new_payload(caller, "two", depends_on=["one"])
    async with refused(RefusalCode.INVALID) as refusal:
        await new_workflow(caller, one, two, payloads=[one.id, 777_777])
    assert refusal.message == "Unknown payloads: 777777"
    async with refused(RefusalCode.INVALID) as refusal:
        await new_workflow(caller, two)
    assert "'two' depends on 'one'" in refusal.message
    workflow = await new_workflow(caller, one, two)
    async with refused(RefusalCode.INVALID) as refusal:
        await caller.ask(UPDATE_PAYLOAD, UpdatePayload(payload_id=one.id, depends_on=["two"]))
    assert "one → two → one" in refusal.message
    async with refused(RefusalCode.INVALID):
        await caller.ask(UPDATE_PAYLOAD, UpdatePayload(payload_id=one.id, name="another"))
    assert await caller.ask(GET_PAYLOAD, GetPayload(payload_id=one.id)) == one
    assert await caller.ask(GET_WORKFLOW, GetWorkflow(workflow_id=workflow.id)) == workflow


async def test_changes_at_once_leave_every_reference_true(caller: Bus, database: Database) -> None:
    blocks = [await new_block(caller) for _ in range(4)]
    payloads = [await new_payload(caller, f"p{n}", *[block.id for block in blocks]) for n in range(3)]
    await new_workflow(caller, *payloads)
    await asyncio.gather(
        *(caller.ask(DELETE_BLOCK, DeleteBlock(block_id=block.id, force=True)) for block in blocks[:3]),
        *(
            caller.ask(UPDATE_PAYLOAD, UpdatePayload(payload_id=payload.id, blocks=[block.id]))
            for payload in payloads
            for block in blocks
        ),
        return_exceptions=True,
    )
    async with database.connection() as connection:
        broken = await connection.fetchval(
            "SELECT count(*) FROM payloads JOIN payload_versions AS v ON v.payload = payloads.id AND v.version ="
            " payloads.version JOIN payload_blocks AS b ON b.payload_version = v.id JOIN blocks ON blocks.id = b.block"
            " WHERE payloads.deleted_at IS NULL AND blocks.deleted_at IS NOT NULL"
        )
    assert broken == 0


async def test_a_run_would_pin_versions_and_texts_as_they_are(caller: Bus, database: Database) -> None:
    block = await new_block(caller, "first")
    payload = await new_payload(caller, "p", block.id, for_each="topics")
    workflow = await new_workflow(caller, payload)
    await caller.ask(UPDATE_BLOCK, UpdateBlock(block_id=block.id, content="second"))
    async with database.connection() as connection:
        current = await store.current(connection, workflow.id)
    assert current is not None
    pinned = snapshot(current)
    (part,) = pinned.payloads
    assert (pinned.version, part.version, part.blocks[0].version, part.blocks[0].content) == (1, 1, 2, "second")
    assert part.for_each is not None
    assert part.for_each.input == "topics"


# One JSON file


async def test_what_was_exported_is_imported_with_ids_of_its_own(caller: Bus, database: Database) -> None:
    block = await new_block(caller, "shared", tags="t", folder_path="F")
    one = await new_payload(caller, "one", block.id, block.id, temperature=0.2)
    condition = {"payload": one.id, "operator": "is_not_empty"}
    two = await new_payload(
        caller, "two", block.id, depends_on=[one.id, "one"], for_each=one.id, condition=condition, retries=1
    )
    workflow = await new_workflow(caller, one, two, one, inputs={"topic": None})
    exported = await caller.ask(EXPORT_WORKFLOW, GetWorkflow(workflow_id=workflow.id))
    again = await caller.ask(IMPORT_WORKFLOW, WorkflowDocument.model_validate_json(exported.model_dump_json()))
    assert again.id != workflow.id
    assert [part.name for part in again.payloads] == ["one", "two", "one"]
    new_one, new_two, _ = again.payloads
    assert {new_one.id, new_two.id}.isdisjoint({one.id, two.id})
    imported = await caller.ask(GET_PAYLOAD, GetPayload(payload_id=new_two.id))
    assert (imported.depends_on, imported.for_each) == ([new_one.id, "one"], new_one.id)
    assert imported.condition is not None
    assert imported.condition.payload == new_one.id
    assert imported.blocks[0].id != block.id
    async with database.connection() as connection:
        currents = [await store.current(connection, number) for number in (workflow.id, again.id)]
    shapes = [
        [
            (part.step, part.needs, part.retries, [piece.content for piece in part.blocks])
            for part in snapshot(c).payloads
        ]
        for c in currents
        if c is not None
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"workflow": [5]}, "Unknown payloads: 5"),
        ({"blocks": []}, "Unknown blocks: 7"),
        ({"depends_on": [4]}, "Unknown payloads: 4"),
        ({"depends_on": ["nobody"]}, "depends on 'nobody'"),
        ({"blocks": [{"id": 7, "title": "t", "content": ""}] * 2}, "Given more than once in blocks: 7"),
    ],
)
async def test_a_file_that_does_not_hold_together_is_refused_and_leaves_nothing(
    caller: Bus, database: Database, changes: dict[str, Any], told: str
) -> None:
    payload = {"id": 3, "name": "p", "temperature": 0.5, "response_length": 5, "llm_port": 1, "model_format": "raw"}
    whole = {
        "name": "w",
        "workflow": [3],
        "payloads": [payload | {"blocks": [7], "depends_on": changes.get("depends_on")}],
        "blocks": [{"id": 7, "title": "t", "content": ""}],
    } | {name: value for name, value in changes.items() if name != "depends_on"}
    count = "SELECT (SELECT count(*) FROM blocks) + (SELECT count(*) FROM payloads) + (SELECT count(*) FROM workflows)"
    async with database.connection() as connection:
        before = await connection.fetchval(count)
        async with refused(RefusalCode.INVALID) as refusal:
            await caller.ask(IMPORT_WORKFLOW, WorkflowDocument.model_validate(whole))
        assert told in refusal.message
        assert await connection.fetchval(count) == before
