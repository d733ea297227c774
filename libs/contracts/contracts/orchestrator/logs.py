"""The logs of runs: what agents say, the numbers they measure, and who did what meanwhile."""

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
    steering: Steering | None = None
    adjustment: int | None = None


LOG_RECORDED = Event("logs.v1.run", LogRecord, stream="LOGS", keyed=True)


class GetLogs(Message):
    """The oldest `limit` records of a run after sequence `after`."""

    run_id: Name
    limit: int = Field(default=100, ge=1, le=1000)
    after: int = Field(default=0, ge=0)


class LogEntry(Message):
    sequence: int
    record: LogRecord


class LogPage(Message):
    run_id: str
    entries: list[LogEntry]
    total: int


GET_LOGS = Rpc("orchestrator.v1.logs.get", GetLogs, LogPage, refusals=(RefusalCode.NOT_FOUND,))
