"""The API keeps to its own description, whatever it is sent."""

import pytest

from tests.fuzz.fuzzing import fuzz

pytestmark = pytest.mark.e2e


def test_no_request_of_thousands_gets_an_answer_that_is_not_described() -> None:
    found = fuzz("--max-examples=3", "--seed=1", timeout=220)
    assert found.returncode == 0, found.stdout
