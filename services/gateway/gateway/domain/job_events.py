"""What is sent to those who watch a job, and what they may ask for meanwhile."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, ValidationError
from pydantic_core import from_json

from contracts.base import Message, Refused
from contracts.orchestrator import AdjustJob, Job, LogEntry
from contracts.pipeline import Name
from gateway.errors import invalid_fields, invalid_input, tell
from gateway.routes.table import Family

_LONGEST_NAME = 100
RequestId = Annotated[str, Field(max_length=_LONGEST_NAME)]


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


Command = Steer | Adjust
_COMMANDS: Mapping[str, type[Command]] = {"pause": Steer, "resume": Steer, "cancel": Steer, "adjust": Adjust}


def fields_of(text: str) -> dict[str, Any]:
    """What a client sent. Raises `Refused(INVALID)` for what is no object."""
    try:
        fields = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise invalid_fields([("body", f"Invalid JSON: {error}")]) from None
    if not isinstance(fields, dict):
        raise invalid_fields([("body", "must be an object")])
    return fields


def command_of(fields: Mapping[str, Any]) -> Command:
    """What a client asks for. Raises `Refused(INVALID)`."""
    action = fields.get("action")
    if not isinstance(action, str) or action not in _COMMANDS:
        raise invalid_fields([("action", f"must be one of {', '.join(_COMMANDS)}")])
    try:
        return _COMMANDS[action].model_validate(fields)
    except ValidationError as error:
        raise invalid_input(error) from None


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


def accepted(command: Command, answer: Message) -> bytes:
    data = answer.model_dump(mode="json", include={"job_id", "status", "number"})
    return _message("ack", data, request_id=command.request_id, action=command.action, ok=True)


def refused(fields: Mapping[str, Any], refusal: Refused) -> bytes:
    """The refusal in document E's form, for the command that `fields` name, however little else of them is right."""
    named = {name: fields.get(name) for name in ("request_id", "action")}
    told = {name: value if _is_name(value) else None for name, value in named.items()}
    error = tell(refusal, Family.PIPELINE).body.model_dump(mode="json")
    return orjson.dumps({"type": "ack", **told, "ok": False, **error})


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME


def _message(kind: str, data: Any, **fields: Any) -> bytes:
    return orjson.dumps({**fields, "type": kind, "data": data})
