"""What each service may do on the bus follows from what it says that it does."""

import pytest

from contracts import orchestrator
from contracts.base import Event, Rpc, Stream
from contracts.topology import ACCESS, CONSUMERS, STREAMS, Access, inbox_prefix, permissions

from .test_snapshot import OWNERS

BY_NAME = {access.service: access for access in ACCESS}


def matches(pattern: str, subject: str) -> bool:
    """NATS wildcards: `*` is one token, `>` the rest."""
    want, have = pattern.split("."), subject.split(".")
    for index, token in enumerate(want):
        if token == ">":
            return len(have) > index
        if index >= len(have) or token not in ("*", have[index]):
            return False
    return len(want) == len(have)


def allows(patterns: tuple[str, ...], subject: str) -> bool:
    return any(matches(pattern, subject) for pattern in patterns)


def test_every_event_has_a_stream_that_keeps_it() -> None:
    streams = {stream.name: stream for stream in STREAMS}
    for owner in OWNERS:
        for value in vars(owner).values():
            if isinstance(value, Event):
                assert allows(streams[value.stream].subjects, value.filter)


def test_every_contract_is_served_by_its_owner() -> None:
    owners = {"gateway": "gateway", "registry": "registry", "orchestrator": "orchestrator", "router": "llm_router"}
    for module in OWNERS:
        for value in vars(module).values():
            if isinstance(value, Rpc | Stream):
                assert allows(permissions(BY_NAME[owners[value.owner]]).subscribe, value.subject)


@pytest.mark.parametrize("access", ACCESS, ids=lambda access: access.service)
def test_no_service_listens_to_another_ones_answers(access: Access) -> None:
    for other in ACCESS:
        expected = other.service == access.service
        assert allows(permissions(access).subscribe, f"{inbox_prefix(other.service)}.x") is expected


def test_only_the_orchestrator_hands_out_work() -> None:
    allowed = [a.service for a in ACCESS if allows(permissions(a).publish, orchestrator.STEP_READY.subject)]
    assert allowed == ["orchestrator"]


def test_the_gateway_cannot_claim_a_step() -> None:
    assert not allows(permissions(BY_NAME["gateway"]).publish, orchestrator.CLAIM_STEP.subject)


def test_a_consumer_is_used_by_one_service() -> None:
    for consumer in CONSUMERS:
        assert [a.service for a in ACCESS if consumer in a.consumes] != []
