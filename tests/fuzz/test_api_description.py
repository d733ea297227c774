"""The API keeps to its own description, whatever it is sent."""

import pytest

from tests.fuzz.fuzzing import fuzz

pytestmark = pytest.mark.e2e


def test_no_request_gets_an_answer_that_is_not_described() -> None:
    """The same few hundred requests each time. `make fuzz` makes thousands, other ones each time."""
    found = fuzz("--phases=examples,fuzzing", "--max-examples=2", "--generation-deterministic", timeout=220)
    assert found.returncode == 0, found.stdout
