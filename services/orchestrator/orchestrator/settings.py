"""Settings of the orchestrator."""

from pydantic import Field

from common.settings import ServiceSettings
from orchestrator.domain.policy import Policy

_DAY = 24 * 3600.0


class Settings(ServiceSettings):
    """How patient the orchestrator is, and how long it keeps what it is told."""

    lease_seconds: float = Field(
        default=15, gt=0, le=3600, description="How long a worker may be silent before its step goes to another"
    )
    step_interruptions: int = Field(
        default=20,
        ge=0,
        le=1000,
        description="How often a step may be cut off by the death of its worker or of a router before it fails",
    )
    cancel_grace_seconds: float = Field(
        default=60, gt=0, le=3600, description="How long a worker may take to stop once its job has ended"
    )
    retry_base_seconds: float = Field(
        default=1, gt=0, description="Pause before a second attempt; it doubles from there"
    )
    retry_cap_seconds: float = Field(default=60, gt=0, description="Longest pause before another attempt")
    hint_pause_seconds: float = Field(
        default=5, gt=0, description="How long a ready step may stay unclaimed before another hint goes out"
    )
    task_attempts: int = Field(default=6, ge=1, le=100, description="How often a step of a task is tried")
    task_step_timeout_seconds: float = Field(
        default=300, gt=0, le=3600, description="How long one attempt at a step of a task may take"
    )
    payload_attempts: int = Field(
        default=3, ge=1, le=100, description="How often a payload of a workflow is tried that says nothing of it"
    )
    payload_timeout_seconds: float = Field(
        default=600, gt=0, le=86_400, description="How long one attempt at such a payload may take"
    )
    task_concurrency: int = Field(
        default=64, ge=1, le=1000, description="How many steps of tasks and workflows one process works on at once"
    )
    action_timeout_seconds: float = Field(
        default=300, gt=0, le=590, description="How long the execution of an action may take"
    )
    reap_interval_seconds: float = Field(
        default=0.5, gt=0, le=60, description="How often expired leases and lost hints are looked for"
    )
    schedule_interval_seconds: float = Field(
        default=1, gt=0, le=60, description="How often schedules that are due are looked for"
    )
    checkpoint_retention_days: float = Field(
        default=14, ge=0, description="How long the checkpoints of a failed training are kept for a retry to go on from"
    )
    log_retention_days: float = Field(default=30, gt=0, description="How long the lines of run logs are kept")
    job_retention_days: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        description="How long jobs that have ended are kept, until they are deleted with all that nothing else needs;"
        " for ever where it is not set",
    )

    @property
    def job_retention(self) -> float | None:
        """In seconds."""
        return None if self.job_retention_days is None else self.job_retention_days * _DAY

    @property
    def policy(self) -> Policy:
        return Policy(
            lease=self.lease_seconds,
            interruptions=self.step_interruptions,
            cancel_grace=self.cancel_grace_seconds,
            retry_base=self.retry_base_seconds,
            retry_cap=self.retry_cap_seconds,
            hint_pause=self.hint_pause_seconds,
            task_attempts=self.task_attempts,
            task_step_timeout=self.task_step_timeout_seconds,
            payload_attempts=self.payload_attempts,
            payload_timeout=self.payload_timeout_seconds,
            action_timeout=self.action_timeout_seconds,
            keep_failed=self.checkpoint_retention_days * _DAY,
        )
