"""Every family's form of an error becomes one tree."""

from typing import Any

import orjson
import pytest

from contracts.base import RefusalCode, Refused
from gateway.errors import tell
from gateway.routes.table import Family
from llm_platform import errors

FIELDS = {"errors": [{"field": "title", "message": "field required"}]}


def refused(family: Family, refusal: Refused) -> errors.ApiError:
    told = tell(refusal, family)
    headers = {name.lower(): value for name, value in told.headers.items()}
    return errors.refusal(told.status, {**headers, "x-request-id": "r1"}, told.body.model_dump_json().encode())


@pytest.mark.parametrize(
    ("family", "code"),
    [
        (Family.LLM, "not_found"),
        (Family.TEMPLATES, "not_found"),
        (Family.ORCHESTRATION, "http_404"),
        (Family.SERVER, "http_404"),
        (Family.PIPELINE, "NOT_FOUND"),
        (Family.OPENAI, "not_found"),
    ],
)
def test_each_family_is_understood(family: Family, code: str) -> None:
    error = refused(family, Refused(RefusalCode.NOT_FOUND, "There is no such thing", {"thing": "x"}))
    assert isinstance(error, errors.NotFound)
    assert (error.code, error.message, error.request_id) == (code, "There is no such thing", "r1")


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("code", list(RefusalCode))
def test_every_refusal_has_its_place(family: Family, code: RefusalCode) -> None:
    error = refused(family, Refused(code, "No", FIELDS))
    assert type(error) is not errors.ApiError or error.status == 405
    assert "title" in str(error) or "title" in str(error.metadata) or family is Family.PIPELINE


def test_limits_say_when_to_come_back_and_spent_budgets_that_it_does_not_help() -> None:
    later = refused(Family.PIPELINE, Refused(RefusalCode.RATE_LIMITED, "Too many", {"retry_after": 7}))
    assert isinstance(later, errors.RateLimited)
    assert later.retry_after == 7.0
    assert isinstance(refused(Family.OPENAI, Refused(RefusalCode.QUOTA_EXHAUSTED, "Spent")), errors.QuotaExhausted)


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"[]", b"null", b'{"error": 3}', b'"text"', b"\xff"]
)
def test_what_a_proxy_answers_is_an_error_too(body: Any) -> None:
    error = errors.refusal(502, {}, body)
    assert isinstance(error, errors.EngineFailed)
    assert error.code == "http_502"
    assert error.message


def test_a_body_of_ours_that_is_no_object_is_told_as_it_came() -> None:
    assert errors.refusal(400, {}, orjson.dumps(["x"])).message == '["x"]'
