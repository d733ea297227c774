"""Refusals become document E's error codes, and only what another attempt can help is retried."""

import errno

import pytest
import torch

from contracts.base import RefusalCode, Refused
from trainer.domain.failures import crash_of, deadline_passed, failure_of, lost_worker


@pytest.mark.parametrize(
    ("code", "error", "retryable"),
    [
        (RefusalCode.INVALID, "VALIDATION_ERROR", False),
        (RefusalCode.DATASET_INVALID, "DATASET_ERROR", False),
        (RefusalCode.CONFIG_INVALID, "CONFIG_ERROR", False),
        (RefusalCode.NOT_FOUND, "NOT_FOUND", False),
        (RefusalCode.TRAINING_FAILED, "TRAINING_ERROR", False),
        (RefusalCode.STORAGE_FAILED, "STORAGE_ERROR", True),
        (RefusalCode.UNAVAILABLE, "INTERNAL_ERROR", True),
        (RefusalCode.FORBIDDEN, "INTERNAL_ERROR", False),
    ],
)
def test_every_refusal_has_its_code(code: RefusalCode, error: str, retryable: bool) -> None:
    failure = failure_of(Refused(code, "why", {"field": "x"}))
    assert (failure.code, failure.retryable) == (error, retryable)
    assert (failure.message, failure.metadata) == ("why", {"field": "x"})


@pytest.mark.parametrize(
    ("refused", "away"),
    [
        (Refused(RefusalCode.UNAVAILABLE, "The registry is not available at the moment"), True),
        (Refused(RefusalCode.STORAGE_FAILED, "The object store is away", {"temporary": True}), True),
        (Refused(RefusalCode.STORAGE_FAILED, "The object store refused it"), False),
        (Refused(RefusalCode.TRAINING_FAILED, "The loss is not a number"), False),
    ],
)
def test_a_part_of_the_platform_that_is_away_is_told_from_what_fails(refused: Refused, away: bool) -> None:
    assert failure_of(refused).away is away


def test_a_crash_tells_no_internals_and_may_be_retried() -> None:
    failure = crash_of(ValueError("secret path"))
    assert failure.retryable
    assert "ValueError" in failure.message
    assert "secret" not in failure.message


def test_a_full_disk_is_told_and_counts_as_an_attempt() -> None:
    failure = crash_of(OSError(errno.ENOSPC, "No space left on device", "/secret/path"))
    assert (failure.code, failure.retryable, failure.away) == ("STORAGE_ERROR", True, False)
    assert "disk of the worker is full" in failure.message
    assert "secret" not in failure.message


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_is_told_with_what_takes_less(error: Exception) -> None:
    failure = crash_of(error)
    assert (failure.code, failure.retryable) == ("INTERNAL_ERROR", True)
    assert "batch_size" in failure.message


def test_a_dead_worker_may_be_replaced_but_time_does_not_come_back() -> None:
    assert lost_worker("it was killed").retryable
    assert not deadline_passed(60).retryable
    assert "60 s" in deadline_passed(60).message
