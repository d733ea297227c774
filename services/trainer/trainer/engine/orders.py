"""What the service and its child process say to each other: one JSON object a line.

An `Order` is followed by any number of `Pause` and `Adjust`, which hold for it alone, whenever they come; the child
says `Logged` any number of times and then `Ended`. Nothing waits for an answer but the order.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from common.datafiles.limits import Limits
from contracts.base import Message
from contracts.orchestrator import ClaimedStep, LogRecord, StepAdjustment, StepFailed, StepReleased, StepSucceeded
from contracts.registry import Dataset, Model


class StorageAccess(Message):
    """How the child reaches the object store on its own."""

    endpoint: str
    access_key: str
    secret_key: str = Field(repr=False)
    region: str
    bucket_prefix: str = ""


class Order(Message):
    """To the child: do this step. `dataset` and `models` are what the registry knows of those that its config
    names; `limits` say how wide a data set may be.

    `directory` is the child's alone; whoever gave the order removes it.
    """

    kind: Literal["order"] = "order"
    step: ClaimedStep
    dataset: Dataset | None = None
    models: tuple[Model, ...] = ()
    storage: StorageAccess
    limits: Limits
    models_dir: Path
    directory: Path


class Pause(Message):
    """To the child: come to a point from which another attempt can go on, and end as released.

    An agent that cannot goes on; the child is killed when that takes too long.
    """

    kind: Literal["pause"] = "pause"


class Adjust(Message):
    """To the child: from the next training step on this holds."""

    kind: Literal["adjust"] = "adjust"
    adjustment: StepAdjustment


ToChild = Order | Pause | Adjust
TO_CHILD: TypeAdapter[ToChild] = TypeAdapter(Annotated[ToChild, Field(discriminator="kind")])


class Ready(Message):
    """From the child: everything slow is imported."""

    kind: Literal["ready"] = "ready"


class Logged(Message):
    """From the child: a line for the run's log."""

    kind: Literal["logged"] = "logged"
    record: LogRecord


class Ended(Message):
    """From the child: the outcome of the order; the last line about it."""

    kind: Literal["ended"] = "ended"
    result: StepSucceeded | StepFailed | StepReleased = Field(discriminator="outcome")


FromChild = Ready | Logged | Ended
FROM_CHILD: TypeAdapter[FromChild] = TypeAdapter(Annotated[FromChild, Field(discriminator="kind")])
