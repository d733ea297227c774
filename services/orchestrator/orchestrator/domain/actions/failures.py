"""Why something about an action is refused, and how a failed execution is told (documents A and B).

`entry` in a refusal's metadata is document A's entry of `errors` where it says more than the refusal itself.
"""

from collections.abc import Mapping
from typing import Any

from contracts.actions import EXECUTION_REFUSALS, RunError
from contracts.base import RefusalCode, Refused

_EXECUTION_ERROR = "execution_error"
_LATER = frozenset(
    {RefusalCode.RATE_LIMITED, RefusalCode.ENGINE_UNAVAILABLE, RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT}
)
_NOT_THE_CALLERS = frozenset({RefusalCode.NOT_FOUND, RefusalCode.CONFLICT})
"""What the router says of a model: to who executes an action, it would say that of the action."""

_AGAIN = ("Execute the action again.",)
_MISSHAPEN_STEPS = (
    "Use a model that follows instructions better, or one whose engine keeps to a JSON schema.",
    "Allow a longer answer: raise max_tokens of the action.",
    "Read what the model wrote: GET /api/v1/llm/actions/{action_id}/history.",
)


def not_found(noun: str, number: int) -> Refused:
    """Document A's: `Action not found`, `Action with id 1 not found`."""
    entry = {"message": f"{noun} with id {number} not found"}
    return Refused(RefusalCode.NOT_FOUND, f"{noun} not found", {"entry": entry})


def interrupted(reason: str) -> Refused:
    """An execution whose process stopped before it ended."""
    return Refused(
        RefusalCode.UNAVAILABLE, reason, {"type": "interrupted", "temporary": True, "troubleshooting": list(_AGAIN)}
    )


def timed_out(seconds: float) -> Refused:
    steps = ["Ask for fewer tokens: lower max_tokens of the action.", *_AGAIN]
    metadata = {"type": "timeout", "temporary": True, "troubleshooting": steps}
    return Refused(RefusalCode.TIMEOUT, f"No answer within {seconds:g} s", metadata)


def misshapen(why: str) -> Refused:
    """A model that did not write what was asked for, not even when it was told."""
    message = f"The model's answer has not the form that was asked for: {why}"
    metadata = {"type": "invalid_answer", "temporary": False, "troubleshooting": list(_MISSHAPEN_STEPS)}
    return Refused(RefusalCode.ENGINE_FAILED, message, metadata)


def run_error(error: Mapping[str, Any]) -> RunError:
    """The error of a run from the refusal that is kept of it."""
    metadata = error["metadata"]
    return RunError(
        code=_EXECUTION_ERROR,
        type=str(metadata.get("type", error["code"])),
        message=str(error["message"]),
        temporary=_is_temporary(error),
    )


def execution_failed(output_field: str, action_id: int, run_id: int, error: Mapping[str, Any]) -> Refused:
    """The refusal that tells a caller of a failed run, in document A's words with document B's besides."""
    code, metadata = RefusalCode(error["code"]), dict(error["metadata"])
    if (code not in EXECUTION_REFUSALS and code is not RefusalCode.INTERNAL) or code in _NOT_THE_CALLERS:
        code = RefusalCode.ENGINE_FAILED
    metadata |= {
        "type": str(metadata.get("type", error["code"])),
        "temporary": _is_temporary(error),
        "entry": {
            "code": _EXECUTION_ERROR,
            "message": f"Failed to generate {output_field}",
            "details": f"Model error: {error['message']}",
        },
        "details": {"action_id": [str(action_id)], "run_id": [str(run_id)]},
    }
    return Refused(code, "Action execution failed", metadata)


def _is_temporary(error: Mapping[str, Any]) -> bool:
    return bool(error["metadata"].get("temporary", error["code"] in _LATER))
