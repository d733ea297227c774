"""The logs of runs: what agents say, the numbers they measure, and who did what meanwhile."""

from typing import Literal

from pydantic import Field

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc, Timestamp
from contracts.orchestrator.names import JobAction, LogLevel
from contracts.pipeline import Name


class Steering(EventBody):
    """What somebody did to a job, for all who watch it. `number` is also in the record that tells of its effect."""

    number: int
    action: JobAction
    by: str
    learning_rate: float | None = None
    agent_name: str | None = None


class LogRecord(EventBody):
    """One line of a run's log. METRIC records carry the numbers that the caller plots; absent ones are left out.

    `agent` is the class of the agent as document E has it, `agent_name` its name in the job. `adjustment` is the number
    of the one that has taken effect.
    """

    run_id: str
    timestamp: Timestamp
    agent: str
    agent_name: str | None = None
    level: LogLevel
    message: str
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    tokens_per_second: float | None = None
    memory_bytes: int | None = None
    steering: Steering | None = None
    adjustment: int | None = None


LOG_RECORDED = Event("logs.v1.run", LogRecord, stream="LOGS", keyed=True)


class GetLogs(Message):
    """The oldest `limit` records of a run after sequence `after`; in descending order the newest before `before`.

    Of one `level`, and of one `agent`, named by its class or its name in the job.
    """

    run_id: Name
    limit: int = Field(default=100, ge=1, le=1000)
    after: int = Field(default=0, ge=0, le=2**62)
    before: int | None = Field(default=None, ge=0, le=2**62)
    order: Literal["asc", "desc"] = "asc"
    level: LogLevel | None = None
    agent: str | None = Field(default=None, max_length=64)


class LogEntry(Message):
    sequence: int
    record: LogRecord


class LogPage(Message):
    """`total` counts all records of that level and agent, wherever they are."""

    run_id: str
    entries: list[LogEntry]
    total: int
    has_more: bool = False


GET_LOGS = Rpc("orchestrator.v1.logs.get", GetLogs, LogPage, refusals=(RefusalCode.NOT_FOUND,))


class GetMetrics(Message):
    """The METRIC records of a run, at most `points` of each agent and kind, evenly chosen."""

    run_id: Name
    agent: str | None = Field(default=None, max_length=64)
    points: int = Field(default=1000, ge=2, le=2000)


class MetricSeries(Message):
    """What one agent measured, by training step: every number of its records."""

    agent: str
    agent_name: str | None
    points: list[dict[str, int | float]]


class RunMetrics(Message):
    run_id: str
    series: list[MetricSeries]


GET_METRICS = Rpc("orchestrator.v1.logs.metrics", GetMetrics, RunMetrics, refusals=(RefusalCode.NOT_FOUND,))
