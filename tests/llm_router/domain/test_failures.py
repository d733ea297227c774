"""What a failure tells its caller."""

import pytest

from contracts.base import RefusalCode
from contracts.router import CHAT_COMPLETE, CHAT_STREAM
from llm_router.domain.failures import TRAITS, EngineFailure, FailureKind, model_not_found


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_is_a_declared_refusal_with_steps_to_take(kind: FailureKind) -> None:
    failure = EngineFailure(kind, "It failed")
    assert failure.code in CHAT_COMPLETE.refusals
    assert failure.code in CHAT_STREAM.refusals
    assert failure.metadata["type"] == kind.value
    assert failure.metadata["troubleshooting"]
    assert all(step.endswith(".") for step in failure.metadata["troubleshooting"])


@pytest.mark.parametrize("kind", list(FailureKind))
def test_what_is_worth_retrying_is_temporary(kind: FailureKind) -> None:
    trait = TRAITS[kind]
    assert trait.temporary or not trait.retryable
    assert not (trait.breaks and trait.answered)


def test_only_what_is_known_is_told() -> None:
    assert set(EngineFailure(FailureKind.TIMEOUT, "Late").metadata) == {"type", "temporary", "troubleshooting"}
    full = EngineFailure(FailureKind.OVERLOADED, "Full", engine="e", retry_after=2.0)
    assert full.metadata["engine"] == "e"
    assert full.metadata["retry_after"] == 2.0


def test_an_unknown_model_is_answered_with_what_there_is() -> None:
    failure = model_not_found("gpt-9", ["a", "b"])
    assert failure.code is RefusalCode.NOT_FOUND
    assert failure.message == "No engine serves a model 'gpt-9'. Available: a, b"
    assert failure.metadata["available"] == ["a", "b"]
    assert failure.metadata["temporary"] is False


def test_the_list_of_models_is_bounded() -> None:
    failure = model_not_found("x", [f"m{i}" for i in range(1000)])
    assert len(failure.metadata["available"]) == 20
    assert failure.message.endswith("and 980 more")


def test_without_any_model_the_answer_says_so() -> None:
    assert model_not_found("x", []).message.endswith("none at the moment")
