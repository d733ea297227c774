"""One table from a refusal's code to status and form; document E's own table is part of it."""

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.base import Message, RefusalCode, Refused
from contracts.pipeline.jobs import Node
from contracts.registry.models import SetAlias
from contracts.tasks import CreateTask
from gateway.domain.embeddings import EmbeddingsRequest
from gateway.domain.people import NewUser
from gateway.errors import FORMS, OUTCOMES, invalid_input, openai_error, tell
from gateway.routes.table import Family

DOCUMENT_E = {
    RefusalCode.INVALID: ("VALIDATION_ERROR", 400),
    RefusalCode.DATASET_INVALID: ("DATASET_ERROR", 400),
    RefusalCode.TRAINING_FAILED: ("TRAINING_ERROR", 500),
    RefusalCode.STORAGE_FAILED: ("STORAGE_ERROR", 500),
    RefusalCode.CONFIG_INVALID: ("CONFIG_ERROR", 400),
    RefusalCode.NOT_FOUND: ("NOT_FOUND", 404),
    RefusalCode.INTERNAL: ("INTERNAL_ERROR", 500),
}
FIELDS = {"errors": [{"field": "a", "message": "field required"}, {"field": "a", "message": "again"}]}


def body(refusal: Refused, family: Family) -> Any:
    return tell(refusal, family).body.model_dump(mode="json", exclude_none=family is Family.LLM)


@pytest.mark.parametrize("code", RefusalCode)
@pytest.mark.parametrize("family", Family)
def test_every_refusal_has_a_status_and_a_form_in_every_family(code: RefusalCode, family: Family) -> None:
    told = tell(Refused(code, "No"), family)
    assert 400 <= told.status < 600
    assert isinstance(told.body, FORMS[family])
    assert "No" in told.body.model_dump_json()


@pytest.mark.parametrize("code", DOCUMENT_E)
def test_document_e_s_codes_have_its_statuses(code: RefusalCode) -> None:
    assert (OUTCOMES[code].pipeline, OUTCOMES[code].status) == DOCUMENT_E[code]


def test_a_body_for_a_and_b_satisfies_both() -> None:
    assert body(Refused(RefusalCode.INVALID, "Not valid", FIELDS), Family.LLM) == {
        "status": "error",
        "message": "Not valid",
        "errors": [
            {"code": "invalid", "message": "field required", "details": "a"},
            {"code": "invalid", "message": "again", "details": "a"},
        ],
        "error": {
            "type": "invalid",
            "message": "Not valid",
            "details": {"a": ["field required", "again"]},
            "troubleshooting": ["Correct the fields that `details` names and send again."],
            "temporary": False,
        },
    }


def test_forms_of_one_sentence_name_the_fields() -> None:
    refusal = Refused(RefusalCode.INVALID, "Not valid", FIELDS)
    assert body(refusal, Family.ORCHESTRATION) == {"error": "Not valid: a: field required; a: again"}
    assert body(refusal, Family.SERVER) == {"detail": "Not valid: a: field required; a: again"}


def test_document_e_s_form_keeps_the_metadata() -> None:
    assert body(Refused(RefusalCode.INVALID, "Not valid", FIELDS), Family.PIPELINE) == {
        "error": "VALIDATION_ERROR",
        "message": "Not valid",
        "metadata": FIELDS,
    }


def test_openai_s_form_names_the_field_to_blame() -> None:
    error = openai_error(Refused(RefusalCode.INVALID, "Not valid", FIELDS)).error
    assert (error.type, error.param, error.code) == ("invalid_request_error", "a", None)


def test_a_field_that_takes_several_types_is_named_as_its_caller_knows_it() -> None:
    with pytest.raises(ValidationError) as caught:
        EmbeddingsRequest.model_validate_json('{"model": "m", "input": [1.5]}')
    refused = invalid_input(caught.value)
    assert {error["field"] for error in refused.metadata["errors"]} == {"input", "input.0"}
    assert openai_error(refused).error.param == "input"


@pytest.mark.parametrize(
    ("model", "fields", "told"),
    [
        (CreateTask, {"prompt": " \n"}, "must not be blank"),
        (SetAlias, {"model_id": "m", "alias": "3"}, "must begin with a letter,"),
        (Node, {"agent_name": "a b", "agent_class": "A"}, "must begin with a letter or digit,"),
        (NewUser, {"name": " ada", "password": "correct horse battery"}, "must not begin or end with white space"),
    ],
)
def test_what_a_pattern_asks_for_is_told_in_words(model: type[Message], fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    assert [error["message"].startswith(told) for error in invalid_input(caught.value).metadata["errors"]] == [True]


def test_openai_s_form_of_a_missing_model_has_the_code_its_clients_know() -> None:
    error = openai_error(Refused(RefusalCode.NOT_FOUND, "No such model", {"param": "model"})).error
    assert (error.param, error.code) == ("model", "model_not_found")


@pytest.mark.parametrize("code", [RefusalCode.RATE_LIMITED, RefusalCode.UNAVAILABLE, RefusalCode.ENGINE_UNAVAILABLE])
def test_who_may_come_back_is_told_when(code: RefusalCode) -> None:
    assert int(tell(Refused(code, "Later"), Family.PIPELINE).headers["Retry-After"]) >= 1
    assert tell(Refused(code, "Later", {"retry_after": 17}), Family.OPENAI).headers["Retry-After"] == "17"
    # HTTP knows whole seconds alone.
    assert tell(Refused(code, "Later", {"retry_after": 2.1}), Family.OPENAI).headers["Retry-After"] == "3"
    assert tell(Refused(code, "Later", {"retry_after": 0.0}), Family.OPENAI).headers["Retry-After"] == "1"


def test_a_spent_budget_says_when_there_is_more_and_that_trying_again_is_of_no_use() -> None:
    spent = Refused(RefusalCode.QUOTA_EXHAUSTED, "Nothing is left", {"retry_after": 3600})
    assert tell(spent, Family.OPENAI).headers == {"x-should-retry": "false", "Retry-After": "3600"}
    for_ever = Refused(RefusalCode.QUOTA_EXHAUSTED, "Nothing is left")
    assert tell(for_ever, Family.OPENAI).headers == {"x-should-retry": "false"}
