"""How messages look on the wire."""

from common.bus.frames import encode
from contracts.orchestrator import ClaimReply


def test_a_field_that_is_null_and_has_no_default_survives_the_wire() -> None:
    nothing = ClaimReply(step=None)
    assert ClaimReply.model_validate_json(encode(nothing)) == nothing
