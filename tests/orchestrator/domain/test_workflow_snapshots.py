"""What a run pins: the order as a graph, references found, and workflows refused whose references lead nowhere."""

from typing import Any

import pytest

from contracts.base import RefusalCode, Refused
from contracts.workflows import LONGEST_PROMPT, BlockSnapshot
from orchestrator.domain.workflows.records import CurrentPayload, CurrentWorkflow
from orchestrator.domain.workflows.snapshots import snapshot

_SETTINGS = {"temperature": 0.7, "response_length": 100, "llm_port": 5001, "model_format": "raw", "version": 3}


def _payload(number: int, name: str, **options: Any) -> CurrentPayload:
    return CurrentPayload.model_validate({"payload_id": number, "name": name, "blocks": [], **_SETTINGS, **options})


def _workflow(*payloads: CurrentPayload) -> CurrentWorkflow:
    return CurrentWorkflow(workflow_id=1, version=2, name="w", inputs=None, payloads=list(payloads))


def _needs(*payloads: CurrentPayload) -> list[list[int]]:
    return [payload.needs for payload in snapshot(_workflow(*payloads)).payloads]


def test_payloads_follow_one_another() -> None:
    assert _needs(_payload(1, "a"), _payload(2, "b"), _payload(3, "c")) == [[], [0], [1]]


def test_depends_on_makes_branches_that_join() -> None:
    assert _needs(
        _payload(1, "a"),
        _payload(2, "b", depends_on=[1]),
        _payload(3, "c", depends_on=["a"]),
        _payload(4, "d", depends_on=[]),
        _payload(5, "e", depends_on=["b", 3, "d"]),
    ) == [[], [0], [0], [], [1, 2, 3]]


def test_a_payload_may_come_twice_and_each_time_has_a_name_of_its_own() -> None:
    again = snapshot(_workflow(_payload(1, "a"), _payload(2, "b"), _payload(1, "a"), _payload(3, "a (2)")))
    assert [payload.step for payload in again.payloads] == ["a", "b", "a (2)", "a (2) (2)"]


def test_the_nearest_before_is_meant_and_else_the_first_after() -> None:
    twice = _payload(1, "a", depends_on=[])
    assert _needs(twice, twice, _payload(2, "b", depends_on=[1])) == [[], [], [1]]
    assert _needs(_payload(2, "b", depends_on=["a"]), twice, twice) == [[1], [], []]


def test_versions_and_the_contents_of_blocks_are_pinned() -> None:
    block = BlockSnapshot(id=9, version=4, title="t", content="c")
    pinned = snapshot(_workflow(_payload(1, "a", blocks=[block], retries=2, fallback_port=5002)))
    assert (pinned.workflow_id, pinned.version) == (1, 2)
    (payload,) = pinned.payloads
    assert (payload.payload_id, payload.version, payload.blocks) == (1, 3, [block])
    assert (payload.retries, payload.fallback_port, payload.approval) == (2, 5002, False)


def test_conditions_and_lists_lead_to_places_before() -> None:
    condition = {"payload": "a", "operator": "contains", "value": "x"}
    pinned = snapshot(
        _workflow(
            _payload(1, "a"), _payload(2, "b", condition=condition, for_each="a"), _payload(3, "c", for_each="topics")
        )
    )
    _, b, c = pinned.payloads
    assert b.condition is not None
    assert b.condition.position == 0
    assert b.for_each is not None
    assert b.for_each.position == 0
    assert c.for_each is not None
    assert (c.for_each.position, c.for_each.input) == (None, "topics")


@pytest.mark.parametrize(
    ("payloads", "told"),
    [
        ([_payload(1, "a", depends_on=[7])], "'a' depends on 7, which is no other payload"),
        ([_payload(1, "a", depends_on=["a"])], "'a' depends on 'a', which is no other payload"),
        ([_payload(1, "a", depends_on=["b"]), _payload(2, "b")], "a → b → a"),
        (
            [_payload(1, "a"), _payload(2, "b", depends_on=[], condition={"payload": 1, "operator": "is_empty"})],
            "need not have ended before",
        ),
        ([_payload(1, "a", for_each=2), _payload(2, "b")], "need not have ended before"),
        (
            [_payload(1, "a", blocks=[BlockSnapshot(id=1, version=1, title="", content="x" * LONGEST_PROMPT)] * 2)],
            "characters together",
        ),
    ],
)
def test_what_leads_nowhere_is_refused_by_name(payloads: list[CurrentPayload], told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        snapshot(_workflow(*payloads))
    assert refused.value.code is RefusalCode.INVALID


def test_a_workflow_may_be_empty() -> None:
    assert snapshot(_workflow()).payloads == []
