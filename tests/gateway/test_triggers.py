"""Schedules and webhooks over HTTP: kept by members, called by whoever knows the secret, in the name of the owner."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.bus import Bus
from contracts import triggers
from contracts.base import RefusalCode, Refused
from contracts.gateway import GET_CALLER, GetCaller
from contracts.triggers import OpenedWebhook, Schedule, ScheduleDeleted, SchedulePage
from contracts.workflow_runs import ExecutionStarted
from gateway.edge import observing
from tests.gateway.conftest import Gateway
from tests.gateway.peers import MOMENT, Peers

TIME = "2026-01-02T03:04:05.000000Z"
STARTED = {"runId": 7, "message": "Workflow execution started", "status": "running"}
HOOK = "/api/hooks/hook_3_secret"
SECRET = "0123abcd"
SCHEDULE = Schedule(
    id=2,
    workflow_id=1,
    cron="0 9 * * *",
    time_zone="Europe/Berlin",
    inputs={},
    overlap="skip",
    enabled=True,
    owner="admin",
    next_at=MOMENT,
    last_at=None,
    last_run=None,
    error=None,
    created_at=MOMENT,
    updated_at=MOMENT,
)


def hook(peers: Peers, *, owner: str = "admin", signing_secret: str | None = None) -> None:
    """There is a webhook whose deliveries start run 7."""
    opened = OpenedWebhook(webhook_id=3, owner=owner, signing_secret=signing_secret)
    peers.answer(triggers.OPEN_WEBHOOK, opened)
    peers.answer(triggers.DELIVER_WEBHOOK, ExecutionStarted.model_validate(STARTED))


async def new_key(gateway: Gateway, **options: Any) -> dict[str, Any]:
    made: dict[str, Any] = await gateway.post("/api/v1/keys", {"name": "k", **options}, status=201)
    return made


async def test_schedules_are_made_listed_changed_and_deleted_under_their_workflow(
    gateway: Gateway, peers: Peers
) -> None:
    peers.answer(triggers.CREATE_SCHEDULE, SCHEDULE)
    body = {"cron": "0 9 * * *", "time_zone": "Europe/Berlin", "inputs": {"topic": "rivers"}, "overlap": "queue"}
    made = await gateway.post("/api/workflows/1/schedules", body, status=201)
    assert (made["id"], made["next_at"], made["last_run"]) == (2, TIME, None)
    asked = peers.asked(triggers.CREATE_SCHEDULE)
    assert (asked.workflow_id, asked.inputs, asked.overlap) == (1, {"topic": "rivers"}, "queue")
    peers.answer(triggers.LIST_SCHEDULES, SchedulePage(items=[SCHEDULE], total=1, limit=20, offset=0, has_more=False))
    assert [one["id"] for one in (await gateway.get("/api/workflows/1/schedules"))["items"]] == [2]
    peers.answer(triggers.UPDATE_SCHEDULE, SCHEDULE)
    status, _, _ = await gateway.call("PUT", "/api/workflows/1/schedules/2", json={"enabled": False})
    changed = peers.asked(triggers.UPDATE_SCHEDULE)
    assert (status, changed.model_fields_set) == (200, {"workflow_id", "schedule_id", "enabled"})
    peers.answer(triggers.DELETE_SCHEDULE, ScheduleDeleted())
    status, told, _ = await gateway.call("DELETE", "/api/workflows/1/schedules/2")
    assert (status, told) == (200, {"message": "Schedule deleted successfully"})
    peers.answer(triggers.GET_SCHEDULE, Refused(RefusalCode.NOT_FOUND, "Schedule not found"))
    status, told, _ = await gateway.call("GET", "/api/workflows/1/schedules/9")
    assert (status, told) == (404, {"error": "Schedule not found"})


async def test_a_call_needs_no_key_and_starts_a_run_in_the_owners_name(gateway: Gateway, peers: Peers) -> None:
    made = await new_key(gateway, budget={"tokens": 10})
    hook(peers, owner=made["key_id"])
    status, body, _ = await gateway.call("POST", HOOK, key=None, json={"topic": "rivers"})
    assert (status, body) == (200, STARTED)
    assert peers.asked(triggers.OPEN_WEBHOOK).token == "hook_3_secret"
    assert peers.asked(triggers.DELIVER_WEBHOOK).body == {"topic": "rivers"}
    call = peers.call(triggers.DELIVER_WEBHOOK)
    assert call.principal is not None
    assert call.principal.budget is not None
    assert (call.principal.id, call.principal.budget.tokens, call.idempotency_key) == (made["key_id"], 10, None)


@pytest.mark.parametrize("header", ["Idempotency-Key", "Webhook-Id", "X-GitHub-Delivery"])
async def test_the_id_of_a_delivery_is_the_key_of_its_run(gateway: Gateway, peers: Peers, header: str) -> None:
    hook(peers)
    status, _, _ = await gateway.call("POST", HOOK, key=None, headers={header: "d-1"})
    assert (status, peers.asked(triggers.DELIVER_WEBHOOK).body) == (200, None)
    assert peers.call(triggers.DELIVER_WEBHOOK).idempotency_key == "webhook:3:d-1"


async def test_a_signed_webhook_takes_nothing_else(gateway: Gateway, peers: Peers) -> None:
    hook(peers, signing_secret=SECRET)
    text = b'{"topic": "rivers"}'
    right = "sha256=" + hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
    for wrong in ({}, {"X-Hub-Signature-256": right[:-1]}, {"X-Hub-Signature-256": "ü"}):
        status, body, _ = await gateway.call("POST", HOOK, key=None, data=text, headers=wrong)
        assert (status, list(body)) == (401, ["error"])
    status, _, _ = await gateway.call("POST", HOOK, key=None, data=text + b" ", headers={"X-Hub-Signature-256": right})
    assert status == 401
    status, _, _ = await gateway.call("POST", HOOK, key=None, data=text, headers={"X-Hub-Signature-256": right})
    assert status == 200


async def test_what_is_no_open_webhook_is_not_found(gateway: Gateway, peers: Peers) -> None:
    closed = {"error": "There is no such webhook"}
    peers.answer(triggers.OPEN_WEBHOOK, Refused(RefusalCode.NOT_FOUND, "There is no such webhook"))
    assert (await gateway.call("POST", HOOK, key=None))[:2] == (404, closed)
    revoked, viewer = await new_key(gateway), await new_key(gateway, role="viewer")
    await gateway.call("DELETE", f"/api/v1/keys/{revoked['key_id']}")
    for owner in ("nobody", revoked["key_id"], viewer["key_id"]):
        hook(peers, owner=owner)
        assert (await gateway.call("POST", HOOK, key=None))[:2] == (404, closed)


async def test_a_body_is_bounded_and_json(gateway: Gateway, peers: Peers) -> None:
    hook(peers)
    assert (await gateway.call("POST", HOOK, key=None, data=b"topic=rivers"))[0] == 400
    assert (await gateway.call("POST", HOOK, key=None, json="a" * 2**20))[0] == 413


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        ("topic=two+rivers&tag=a&tag=b&no=", {"topic": "two rivers", "tag": ["a", "b"], "no": ""}),
        ("payload=%7B%22topic%22%3A+%22rivers%22%7D", {"topic": "rivers"}),
        ("payload=%7Bnot+json", None),
        ('{"topic": "NaN"}', {"topic": "NaN"}),
        ("topic=NaN", {"topic": "NaN"}),
        ("topic=%00", None),
        ("topic=%FF", None),
        ("&".join(["a=1"] * 1001), None),
    ],
)
async def test_a_form_is_the_object_of_its_fields(gateway: Gateway, peers: Peers, sent: str, body: Any) -> None:
    hook(peers)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, _ = await gateway.call("POST", HOOK, key=None, data=sent.encode(), headers=headers)
    assert status == (400 if body is None else 200)
    if body is not None:
        assert peers.asked(triggers.DELIVER_WEBHOOK).body == body


async def test_calls_count_against_the_owners_limit(gateway: Gateway, peers: Peers) -> None:
    made = await new_key(gateway, requests_per_minute=2)
    hook(peers, owner=made["key_id"])
    # Though a new minute may begin meanwhile.
    seen = [(await gateway.call("POST", HOOK, key=None))[0] for _ in range(8)]
    assert (seen[0], set(seen)) == (200, {200, 429})
    assert seen.count(200) <= 4


async def test_neither_traces_nor_logs_hold_the_secret_of_a_url(
    gateway: Gateway, peers: Peers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def recorded_hop(name: str, kind: observing.SpanKind, **_: Any) -> Any:
        return provider.get_tracer("test").start_as_current_span(name, kind=kind)

    monkeypatch.setattr(observing, "hop", recorded_hop)
    hook(peers)
    for path in (HOOK, HOOK + "/more"):
        await gateway.call("POST", path, key=None)
    spans = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
    assert [span["attributes"]["url.path"] for span in spans] == ["/api/hooks/{hook_id}", "unmatched"]
    assert "hook_3_secret" not in f"{spans}{capsys.readouterr()}"


async def test_who_may_call_is_told_over_the_bus_as_it_is_now(gateway: Gateway, peers: Peers) -> None:
    bus: Bus = peers.buses["orchestrator"]
    made = await new_key(gateway, budget={"usd": 2})
    told = await bus.ask(GET_CALLER, GetCaller(caller_id=made["key_id"]))
    assert told.budget is not None
    assert (told.name, told.role, told.budget.usd) == ("k", "member", 2)
    user = {"name": "Ada of the hooks", "password": "a long password", "role": "member"}
    person = await gateway.post("/api/v1/users", user, status=201)
    assert (await bus.ask(GET_CALLER, GetCaller(caller_id=person["user_id"]))).name == "Ada of the hooks"
    assert (await bus.ask(GET_CALLER, GetCaller(caller_id="admin"))).role == "admin"
    await gateway.call("DELETE", f"/api/v1/keys/{made['key_id']}")
    await gateway.call("DELETE", f"/api/v1/users/{person['user_id']}")
    for caller_id in (made["key_id"], person["user_id"], "nobody"):
        with pytest.raises(Refused) as refused:
            await bus.ask(GET_CALLER, GetCaller(caller_id=caller_id))
        assert refused.value.code is RefusalCode.NOT_FOUND
