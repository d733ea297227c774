"""Why a step, and with it a job, failed: in document E's error codes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.base import RefusalCode
from contracts.pipeline import ErrorCode

_CODES: Mapping[str, ErrorCode] = {
    **{code.value: code for code in ErrorCode},
    RefusalCode.INVALID: ErrorCode.VALIDATION,
    RefusalCode.CONFIG_INVALID: ErrorCode.CONFIG,
    RefusalCode.DATASET_INVALID: ErrorCode.DATASET,
    RefusalCode.TRAINING_FAILED: ErrorCode.TRAINING,
    RefusalCode.STORAGE_FAILED: ErrorCode.STORAGE,
    RefusalCode.NOT_FOUND: ErrorCode.NOT_FOUND,
}


_LONGEST_MESSAGE = 4000


@dataclass(frozen=True)
class Failure:
    """Why an attempt did not succeed."""

    code: ErrorCode
    message: str
    metadata: dict[str, Any] = field(default_factory=dict)


def failure(code: str, message: str, metadata: Mapping[str, Any]) -> Failure:
    """What a worker reports, whose code is one of document E's or a refusal's. Any other is an internal error.

    Messages are cut to a length that fits into a line of the log.
    """
    message = message[:_LONGEST_MESSAGE]
    if (known := _CODES.get(code)) is not None:
        return Failure(known, message, dict(metadata))
    return Failure(ErrorCode.INTERNAL, message, {**metadata, "code": code})


LEASE_ENDED = Failure(ErrorCode.INTERNAL, "The worker stopped answering")
STOPPED_UNASKED = Failure(ErrorCode.INTERNAL, "The worker stopped without having been asked to")


def deadline_passed(timeout_seconds: float) -> Failure:
    message = f"The agent took longer than {timeout_seconds:g} s, which is the step_timeout_seconds of the job"
    return Failure(ErrorCode.INTERNAL, message, {"reason": "timeout"})
