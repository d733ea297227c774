"""What is sent to those who watch a job, and what they may ask for meanwhile."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, TypeAdapter

from contracts.base import Message, Refused
from contracts.orchestrator import AdjustJob, Job, LogEntry
from contracts.pipeline import Name
from gateway.errors import tell
from gateway.routes.table import Family

RequestId = Annotated[str, Field(max_length=100)]


class Steer(Message):
    """From a client: do this to the job. The answer carries the same `request_id`."""

    request_id: RequestId | None = None
    action: Literal["pause", "resume", "cancel"]


class Adjust(Message):
    """From a client: train with this learning rate from now on."""

    request_id: RequestId | None = None
    action: Literal["adjust"]
    learning_rate: float = Field(gt=0, lt=1)
    agent_name: Name | None = None

    def of(self, job_id: str) -> AdjustJob:
        return AdjustJob(job_id=job_id, learning_rate=self.learning_rate, agent_name=self.agent_name)


Command = Annotated[Steer | Adjust, Field(discriminator="action")]
COMMAND: TypeAdapter[Steer | Adjust] = TypeAdapter(Command)


def of_entry(entry: LogEntry) -> bytes:
    """A record of the log: `steering` where somebody did something, `metric` and `log` else."""
    record = entry.record
    kind = "steering" if record.steering is not None else "metric" if record.level == "METRIC" else "log"
    return _message(kind, record.model_dump(mode="json", exclude_none=True), id=entry.sequence)


def of_progress(job: Job) -> bytes:
    """How far the job is; sent at the beginning and whenever that may have changed."""
    data = {"job_id": job.job_id, "status": job.status, "progress": job.progress.model_dump(mode="json")}
    return _message("progress", data)


def of_end(job: Job) -> bytes:
    """The last message."""
    return _message("end", {"run_id": job.run_id, "status": job.status})


def accepted(command: Steer | Adjust, answer: Message) -> bytes:
    data = answer.model_dump(mode="json", include={"job_id", "status", "number"})
    return _message("ack", data, request_id=command.request_id, action=command.action, ok=True)


def refused(request_id: Any, refusal: Refused) -> bytes:
    """The refusal in document E's form."""
    error = tell(refusal, Family.PIPELINE).body.model_dump(mode="json")
    return orjson.dumps({"type": "ack", "request_id": request_id, "ok": False, **error})


def _message(kind: str, data: Any, **fields: Any) -> bytes:
    return orjson.dumps({**fields, "type": kind, "data": data})
