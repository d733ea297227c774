"""The states and levels that jobs, steps and logs share."""

from typing import Literal

JobStatus = Literal["pending", "running", "paused", "completed", "failed", "cancelled"]
StepStatus = Literal["waiting", "ready", "paused", "running", "completed", "failed", "cancelled", "skipped"]
LogLevel = Literal["INFO", "WARN", "ERROR", "METRIC"]
JobAction = Literal["pause", "resume", "cancel", "adjust"]
"""What a person may do to a job that goes on."""
