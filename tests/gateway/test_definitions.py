"""Blocks, payloads and workflows have the forms of document C, and nothing more where nothing more was given."""

from datetime import timedelta
from typing import Any

from contracts import workflows
from contracts.base import RefusalCode, Refused
from contracts.workflows import (
    Block,
    BlockPage,
    Condition,
    ListBlocks,
    OrderedBlock,
    OrderedPayload,
    Payload,
    PayloadPage,
    Workflow,
    WorkflowDocument,
    WorkflowPage,
)
from tests.gateway.conftest import Gateway
from tests.gateway.peers import MOMENT, Peers

TIME, LATER = "2026-01-02T03:04:05.000000Z", "2026-01-02T03:09:05.000000Z"
TIMES = {"created_at": TIME, "updated_at": LATER}
BLOCK = {
    "title": "Introduction",
    "content": "This is an introduction block",
    "tags": "intro,greeting",
    "folder_path": "Common",
}
PAYLOAD = {
    "name": "Initial Request",
    "temperature": 0.7,
    "response_length": 1000,
    "llm_port": 5001,
    "model_format": "mistral",
}
PART = {"id": 1, "title": "Introduction", "content": "This is an introduction block", "order_index": 0}


def block(number: int = 1) -> Block:
    return Block(id=number, **BLOCK, created_at=MOMENT, updated_at=MOMENT + timedelta(minutes=5))


def payload(number: int = 1, **options: Any) -> Payload:
    moments = {"created_at": MOMENT, "updated_at": MOMENT + timedelta(minutes=5)}
    return Payload.model_validate({"id": number, **PAYLOAD, **moments, "blocks": [OrderedBlock(**PART)], **options})


def workflow(number: int = 1, **fields: Any) -> Workflow:
    parts = [OrderedPayload(id=number, name=f"P{number}", order_index=number - 1) for number in (1, 2)]
    return Workflow(
        id=number,
        name="Analysis Workflow",
        created_at=MOMENT,
        updated_at=MOMENT + timedelta(minutes=5),
        payloads=parts,
        **fields,
    )


async def test_blocks_in_the_documents_forms(gateway: Gateway, peers: Peers) -> None:
    for rpc in (workflows.CREATE_BLOCK, workflows.GET_BLOCK, workflows.UPDATE_BLOCK, workflows.DELETE_BLOCK):
        peers.answer(rpc, block())
    peers.answer(workflows.LIST_BLOCKS, BlockPage(blocks=[block()], more=False))
    told = {"id": 1, **BLOCK, **TIMES}
    assert await gateway.post("/api/blocks", BLOCK, status=201) == told
    assert await gateway.get("/api/blocks/1") == told
    assert await gateway.get("/api/blocks") == [told]
    status, body, _ = await gateway.call("PUT", "/api/blocks/1", json={"title": "Updated Introduction"})
    assert (status, body) == (200, told)
    asked = peers.asked(workflows.UPDATE_BLOCK)
    assert (asked.block_id, asked.title, asked.content) == (1, "Updated Introduction", None)
    status, body, _ = await gateway.call("DELETE", "/api/blocks/1")
    assert (status, body) == (200, {"message": "Block deleted successfully"})
    assert not peers.asked(workflows.DELETE_BLOCK).force


async def test_a_list_is_whole_however_many_parts_the_bus_tells_it_in(gateway: Gateway, peers: Peers) -> None:
    def told(request: ListBlocks) -> BlockPage:
        last = min(request.after + 2, 5)
        return BlockPage(blocks=[block(number) for number in range(request.after + 1, last + 1)], more=last < 5)

    peers.answer(workflows.LIST_BLOCKS, told)
    body = await gateway.get("/api/blocks?folder=Common&tag=intro&search=a%20block")
    assert [found["id"] for found in body] == [1, 2, 3, 4, 5]
    assert peers.asked(workflows.LIST_BLOCKS) == ListBlocks(folder="Common", tag="intro", search="a block", after=4)


async def test_payloads_in_the_documents_forms(gateway: Gateway, peers: Peers) -> None:
    for rpc in (workflows.CREATE_PAYLOAD, workflows.GET_PAYLOAD, workflows.UPDATE_PAYLOAD, workflows.DELETE_PAYLOAD):
        peers.answer(rpc, payload())
    peers.answer(workflows.LIST_PAYLOADS, PayloadPage(payloads=[payload()], more=False))
    saved = {"id": 1, **PAYLOAD, **TIMES}
    assert await gateway.post("/api/payloads", {**PAYLOAD, "blocks": [1, 2, 3]}, status=201) == saved
    assert peers.asked(workflows.CREATE_PAYLOAD).blocks == [1, 2, 3]
    assert await gateway.get("/api/payloads/1") == {**saved, "blocks": [PART]}
    assert await gateway.get("/api/payloads") == [{**saved, "blocks": [PART]}]
    status, body, _ = await gateway.call("PUT", "/api/payloads/1", json={"llm_port": 5002, "fallback_port": None})
    assert (status, body) == (200, saved)
    assert peers.asked(workflows.UPDATE_PAYLOAD).model_fields_set == {"payload_id", "llm_port", "fallback_port"}
    status, body, _ = await gateway.call("DELETE", "/api/payloads/1?force=true")
    assert (status, body) == (200, {"message": "Payload deleted successfully"})
    assert peers.asked(workflows.DELETE_PAYLOAD).force


async def test_options_are_shown_where_they_are_given(gateway: Gateway, peers: Peers) -> None:
    condition = Condition(payload="a", operator="contains", value="x")
    peers.answer(workflows.GET_PAYLOAD, payload(depends_on=[], retries=2, condition=condition))
    body = await gateway.get("/api/payloads/1")
    assert (body["depends_on"], body["retries"]) == ([], 2)
    assert body["condition"] == {"payload": "a", "operator": "contains", "value": "x", "ignore_case": True}
    assert "timeout" not in body


async def test_workflows_in_the_documents_forms(gateway: Gateway, peers: Peers) -> None:
    for rpc in (
        workflows.CREATE_WORKFLOW,
        workflows.GET_WORKFLOW,
        workflows.UPDATE_WORKFLOW,
        workflows.DELETE_WORKFLOW,
    ):
        peers.answer(rpc, workflow())
    peers.answer(workflows.LIST_WORKFLOWS, WorkflowPage(workflows=[workflow()], more=False))
    saved = {"id": 1, "name": "Analysis Workflow", **TIMES}
    parts = [{"id": 1, "name": "P1", "order_index": 0}, {"id": 2, "name": "P2", "order_index": 1}]
    assert await gateway.post("/api/workflows", {"name": "Analysis Workflow", "payloads": [1, 2]}, status=201) == saved
    assert await gateway.get("/api/workflows/1") == {**saved, "payloads": parts}
    assert await gateway.get("/api/workflows") == [{**saved, "payloads": parts}]
    status, body, _ = await gateway.call("PUT", "/api/workflows/1", json={"payloads": [1, 3, 2]})
    assert (status, body) == (200, saved)
    status, body, _ = await gateway.call("DELETE", "/api/workflows/1")
    assert (status, body) == (200, {"message": "Workflow deleted successfully"})


async def test_declared_inputs_are_shown_with_those_that_have_no_default(gateway: Gateway, peers: Peers) -> None:
    peers.answer(workflows.GET_WORKFLOW, workflow(inputs={"topic": None, "tone": "dry"}))
    assert (await gateway.get("/api/workflows/1"))["inputs"] == {"topic": None, "tone": "dry"}


async def test_what_is_exported_can_be_imported_as_it_is(gateway: Gateway, peers: Peers) -> None:
    parts = [{"id": 1, **PAYLOAD, "blocks": [1], "depends_on": []}]
    document = WorkflowDocument.model_validate(
        {"name": "w", "workflow": [1], "payloads": parts, "blocks": [{"id": 1, **BLOCK}], "inputs": {"topic": None}}
    )
    peers.answer(workflows.EXPORT_WORKFLOW, document)
    peers.answer(workflows.IMPORT_WORKFLOW, workflow(7))
    exported = await gateway.get("/api/workflows/1/export")
    assert exported["format"] == "llm-platform/workflow"
    assert (await gateway.post("/api/workflows/import", exported, status=201))["id"] == 7
    assert peers.asked(workflows.IMPORT_WORKFLOW) == document


UNFIT: tuple[tuple[str, str, Any, str], ...] = (
    ("POST", "/api/blocks", {"title": "t"}, "content: field required"),
    ("POST", "/api/blocks", {"title": " ", "content": ""}, "title"),
    ("POST", "/api/payloads", {**PAYLOAD, "model_format": "klingon"}, "model_format"),
    ("POST", "/api/payloads", {**PAYLOAD, "blocks": ["x"]}, "blocks.0"),
    ("POST", "/api/payloads", {**PAYLOAD, "condition": {"payload": 1, "operator": "eval"}}, "condition.operator"),
    ("POST", "/api/workflows", {"name": "w", "payloads": [0]}, "payloads.0"),
    ("GET", "/api/blocks/first", None, "block_id"),
    ("GET", "/api/workflows/99999999999999999999", None, "workflow_id"),
    ("GET", "/api/blocks?folders=x", None, "folders: unknown field"),
)


async def test_what_does_not_fit_is_told_in_one_sentence_that_names_the_field(gateway: Gateway) -> None:
    for method, path, body, told in UNFIT:
        status, answer, _ = await gateway.call(method, path, json=body)
        assert (status, list(answer)) == (400, ["error"])
        assert told in answer["error"]


async def test_refusals_have_the_documents_one_form(gateway: Gateway, peers: Peers) -> None:
    message = "The block is used by 1 payload: Initial Request (1)"
    peers.answer(workflows.DELETE_BLOCK, Refused(RefusalCode.CONFLICT, message))
    peers.answer(workflows.GET_BLOCK, Refused(RefusalCode.NOT_FOUND, "Block not found"))
    status, body, _ = await gateway.call("DELETE", "/api/blocks/1")
    assert (status, body) == (409, {"error": message})
    status, body, _ = await gateway.call("GET", "/api/blocks/1")
    assert (status, body) == (404, {"error": "Block not found"})
    status, body, headers = await gateway.call("PUT", "/api/workflows/import", json={})
    assert (status, list(body), headers["Allow"]) == (405, ["error"], "POST")
    status, body, _ = await gateway.call("GET", "/api/blocks", key=None)
    assert (status, list(body)) == (401, ["error"])
