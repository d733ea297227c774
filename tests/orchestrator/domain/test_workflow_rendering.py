"""Prompts of payloads: blocks in order, names in braces, and nothing evaluated. Conditions and lists besides."""

from typing import Any

import pytest

from contracts.base import RefusalCode, Refused
from contracts.router import Chat, TextCompletion
from contracts.workflows import (
    BlockSnapshot,
    ConditionSnapshot,
    ForEachSnapshot,
    Operator,
    PayloadSnapshot,
    WorkflowSnapshot,
)
from orchestrator.domain.machine import MOST_PARTS
from orchestrator.domain.workflows.conditions import holds
from orchestrator.domain.workflows.fanout import items
from orchestrator.domain.workflows.questions import question
from orchestrator.domain.workflows.rendering import check_inputs, fill, render, variables


def _payload(step: str, *contents: str, needs: tuple[int, ...] = (), **fields: Any) -> PayloadSnapshot:
    blocks = [BlockSnapshot(id=n, version=1, title="", content=text) for n, text in enumerate(contents, start=1)]
    settings = {"llm_port": 5001, "model_format": "raw", "temperature": 0.5, "response_length": 20, **fields}
    return PayloadSnapshot(payload_id=1, version=1, name=step, step=step, needs=list(needs), blocks=blocks, **settings)


def _workflow(*payloads: PayloadSnapshot, inputs: dict[str, str | None] | None = None) -> WorkflowSnapshot:
    return WorkflowSnapshot(workflow_id=1, version=1, name="w", inputs=inputs or {}, payloads=list(payloads))


def test_blocks_are_joined_in_their_order() -> None:
    assert render(_payload("a", "One.", "Two.", "Three."), {}) == "One.\n\nTwo.\n\nThree."


def test_an_earlier_response_stands_in_the_place_of_its_payloads_name() -> None:
    workflow = _workflow(_payload("Initial Request", "x"), _payload("b", "Sum up: {Initial Request}", needs=(0,)))
    values = variables(workflow, 1, responses={0: "The answer."}, inputs={})
    assert render(workflow.payloads[1], values) == "Sum up: The answer."


def test_what_need_not_have_ended_before_is_not_seen() -> None:
    workflow = _workflow(_payload("a", "x"), _payload("b", "y"), _payload("c", "{a} {b}", needs=(0,)))
    values = variables(workflow, 2, responses={0: "A", 1: "B"}, inputs={})
    assert render(workflow.payloads[2], values) == "A {b}"


def test_inputs_have_defaults_and_responses_stand_over_them() -> None:
    workflow = _workflow(_payload("a", "x"), _payload("b", "", needs=(0,)), inputs={"tone": "dry", "topic": None})
    given = {"topic": ["castles", "lochs"], "a": "mine"}
    assert variables(workflow, 1, responses={0: "A"}, inputs=given) == {
        "tone": "dry",
        "topic": "castles, lochs",
        "a": "A",
    }


def test_an_item_stands_over_all() -> None:
    workflow = _workflow(_payload("item", "x"), _payload("b", "{item}", needs=(0,)))
    assert variables(workflow, 1, responses={0: "A"}, inputs={}, item="i")["item"] == "i"


@pytest.mark.parametrize(
    "plain",
    [
        '{"a": {"b": 1}}',
        "int main() { return 0; }",
        r"\frac{a}{b}",
        "{unknown} and {{unknown}}",
        "{}{{}}",
        "{{ 7*7 }} {% x %} {x.__class__} {0} {x!r}",
        "an open { and a closing }",
    ],
)
def test_braces_that_are_no_variable_stay_as_they_are(plain: str) -> None:
    assert fill(plain, {"x": "value", "topic": "t"}) == plain


def test_a_value_is_never_read_again() -> None:
    values = {"a": "{b} {{b}} {0.__class__}", "b": "secret"}
    assert fill("{a}|{b}", values) == "{b} {{b}} {0.__class__}|secret"


def test_double_braces_around_a_known_name_are_the_text() -> None:
    assert fill("{{a}} is {a}", {"a": "x"}) == "{a} is x"


def test_a_prompt_that_would_grow_too_long_is_refused_before_it_is_made() -> None:
    with pytest.raises(Refused, match="characters") as refused:
        fill("{a}" * 1000, {"a": "x" * 10_000})
    assert refused.value.code is RefusalCode.INVALID


def test_inputs_that_are_needed_are_named() -> None:
    check_inputs(_workflow(inputs={"tone": "dry"}), {})
    listed = [_payload("a", for_each=ForEachSnapshot(input=name)) for name in ("cities", "tone", "cities")]
    workflow = _workflow(*listed, inputs={"topic": None, "tone": "dry", "length": None})
    with pytest.raises(Refused) as refused:
        check_inputs(workflow, {"length": 5})
    assert refused.value.metadata["errors"] == [
        {"field": "inputs.topic", "message": "field required"},
        {"field": "inputs.cities", "message": "field required"},
    ]
    check_inputs(workflow, {"length": 5, "topic": "x", "cities": ["Oban"]})


def test_the_engines_own_template_is_asked_for_as_a_chat_and_a_format_as_text() -> None:
    chat = question(_payload("a", model_format="chat"), "Hi", 5002)
    assert isinstance(chat, Chat)
    assert (chat.model, chat.messages[0].content, chat.max_tokens) == ("port:5002", "Hi", 20)
    text = question(_payload("a", model_format="mistral", model="large"), "Hi", 5001)
    assert isinstance(text, TextCompletion)
    assert (text.model, text.prompt, text.stop) == ("port:5001/large", "[INST] Hi [/INST]", ["[INST]"])


@pytest.mark.parametrize(
    ("operator", "value", "response", "expected"),
    [
        ("equals", "yes", " YES\n", True),
        ("not_equals", "yes", "no", True),
        ("contains", "Urgent", "this is urgent.", True),
        ("not_contains", "urgent", "this is urgent.", False),
        ("starts_with", "a", "bca", False),
        ("ends_with", "a", "bca", True),
        ("is_empty", "", "  \n", True),
        ("is_not_empty", "", "  \n", False),
        ("above", "7", "Score: 8.5 of 10", True),
        ("below", "7", "Score: 8.5 of 10", False),
        ("above", "7", "none", False),
        ("below", "7", "none", False),
    ],
)
def test_a_condition_asks_about_an_earlier_response(
    operator: Operator, value: str, response: str, expected: bool
) -> None:
    condition = ConditionSnapshot(position=0, operator=operator, value=value, ignore_case=True)
    assert holds(condition, response) is expected


def test_case_counts_where_it_is_asked_to() -> None:
    condition = ConditionSnapshot(position=0, operator="equals", value="yes", ignore_case=False)
    assert not holds(condition, "Yes")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a", 1, {"b": 2}], ["a", "1", '{"b":2}']),
        ('["a", "b"]', ["a", "b"]),
        ("a\n\n b \n", ["a", "b"]),
        ("[not json\nb", ["[not json", "b"]),
        ('["a\\u0000b"]', ["a\N{REPLACEMENT CHARACTER}b"]),
        ("", []),
    ],
)
def test_a_list_is_a_list_a_json_array_or_lines(value: Any, expected: list[str]) -> None:
    assert items(value) == expected


@pytest.mark.parametrize("value", [5, None, ["x"] * (MOST_PARTS + 1)])
def test_what_is_no_list_or_too_long_a_one_is_refused(value: Any) -> None:
    with pytest.raises(Refused):
        items(value)
