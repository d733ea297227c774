"""Why a step failed, in document E's error codes."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import StepFailed
from contracts.pipeline import ErrorCode


@dataclass(frozen=True)
class Kind:
    """What a refusal means for a step. `retryable`: another attempt may go better."""

    code: ErrorCode
    retryable: bool = False


KINDS: Mapping[RefusalCode, Kind] = {
    RefusalCode.INVALID: Kind(ErrorCode.VALIDATION),
    RefusalCode.CONFLICT: Kind(ErrorCode.VALIDATION),
    RefusalCode.DATASET_INVALID: Kind(ErrorCode.DATASET),
    RefusalCode.CONFIG_INVALID: Kind(ErrorCode.CONFIG),
    RefusalCode.NOT_FOUND: Kind(ErrorCode.NOT_FOUND),
    RefusalCode.TRAINING_FAILED: Kind(ErrorCode.TRAINING),
    RefusalCode.STORAGE_FAILED: Kind(ErrorCode.STORAGE, retryable=True),
    RefusalCode.UNAVAILABLE: Kind(ErrorCode.INTERNAL, retryable=True),
    RefusalCode.TIMEOUT: Kind(ErrorCode.INTERNAL, retryable=True),
    RefusalCode.INTERNAL: Kind(ErrorCode.INTERNAL, retryable=True),
}
"""The one table from refusals to document E's codes; a code that is not here cannot be helped by another attempt."""


def failure_of(refused: Refused) -> StepFailed:
    kind = KINDS.get(refused.code, Kind(ErrorCode.INTERNAL))
    return StepFailed(
        code=kind.code,
        message=refused.message,
        metadata=refused.metadata,
        retryable=kind.retryable,
        away=_is_away(refused),
    )


def _is_away(refused: Refused) -> bool:
    """Whether the platform stood in the way: a service nobody of which answers, or the object store."""
    if refused.code is RefusalCode.STORAGE_FAILED:
        return bool(refused.metadata.get("temporary"))
    return refused.code in {RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT}


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def crash_of(error: BaseException) -> StepFailed:
    """An error nobody expected. Its text may hold internals, so it goes to the service's log, and its type here.

    Only that a disk is full or the memory too small is told: whoever reads it can do something about that.
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        message = "The disk of the worker is full: there is no room for what this step reads and writes"
        return StepFailed(code=ErrorCode.STORAGE, message=message, retryable=True)
    if is_out_of_memory(error):
        message = (
            "The worker has too little memory for this step. A lower batch_size or max_seq_length takes less, and so"
            " does activation_checkpointing"
        )
        return StepFailed(code=ErrorCode.INTERNAL, message=message, metadata={"reason": "memory"}, retryable=True)
    return StepFailed(
        code=ErrorCode.INTERNAL,
        message=f"An internal error occurred ({type(error).__name__}); it has been logged",
        retryable=True,
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Also PyTorch's errors: that of a GPU is known by its name here, that of a CPU by its words."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def lost_worker(reason: str) -> StepFailed:
    """The process that did the work is gone; from the last checkpoint, another attempt may go better."""
    return StepFailed(code=ErrorCode.INTERNAL, message=f"The worker process died: {reason}", retryable=True)


def deadline_passed(timeout_seconds: float) -> StepFailed:
    return StepFailed(
        code=ErrorCode.INTERNAL,
        message=f"The agent took longer than {timeout_seconds:g} s, which is the step_timeout_seconds of the job",
        metadata={"reason": "timeout"},
        retryable=False,
    )
