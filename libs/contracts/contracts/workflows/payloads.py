"""Payloads: a prompt of blocks in order, who answers it, and when."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from contracts.base import Message, RefusalCode, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.prompts import Id, PromptName
from contracts.workflows.names import (
    CHANGED,
    CREATED,
    DELETED,
    MOST_BLOCKS,
    MOST_PAYLOADS,
    UNKNOWN,
    Change,
    ModelFormat,
    NumberedVersion,
    Port,
    Version,
)

PayloadRef = Id | Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A payload of the same workflow, by id or by name."""

Operator = Literal[
    "equals",
    "not_equals",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "is_empty",
    "is_not_empty",
    "above",
    "below",
]


class Condition(Message):
    """What an earlier response has to be like, without the space around it. `above` and `below` compare numbers."""

    payload: PayloadRef
    operator: Operator
    value: str = Field(default="", max_length=10_000)
    ignore_case: bool = True


WhenSkipped = Literal["run", "skip"]


class PayloadOptions(Message):
    """What document C leaves open of a payload.

    Without `depends_on` it starts when the payload before it has ended, with an empty one at once. `retries` are
    attempts after the first; `timeout` in seconds bounds one attempt. When the instance cannot answer,
    `fallback_port` is asked. With a `condition` that does not hold it is skipped, and its response is empty.
    `for_each` names a payload or an input of the run: it is done once for each item of that list, as `{item}`, for
    `items_at_once` of them side by side (8 where nothing is said). An item is tried, given up and kept by itself.
    With `approval` it waits for a person before it starts.
    When all payloads that come right before it were skipped, it is skipped as well, or runs with their empty
    responses, as `when_skipped` says: `skip` where `depends_on` names them and nothing is said, `run` in plain order.
    """

    model: str | None = Field(default=None, min_length=1, max_length=300)
    """Which model of the instance; without it, the first that it lists."""
    depends_on: list[PayloadRef] | None = Field(default=None, max_length=MOST_PAYLOADS)
    retries: int | None = Field(default=None, ge=0, le=20)
    timeout: float | None = Field(default=None, gt=0, le=86_400)
    fallback_port: Port | None = None
    condition: Condition | None = None
    for_each: PayloadRef | None = None
    items_at_once: int | None = Field(default=None, ge=1, le=100)
    approval: bool | None = None
    when_skipped: WhenSkipped | None = None


class OrderedBlock(Message):
    """A block in its place."""

    id: int
    title: str
    content: str
    order_index: int


class Payload(PayloadOptions):
    """A prompt of `blocks` in order, and the instance that answers it, in its newest version."""

    id: int
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: ModelFormat
    created_at: Timestamp
    updated_at: Timestamp
    blocks: list[OrderedBlock]


class PayloadVersion(PayloadOptions, NumberedVersion):
    """A version, which never changes. `blocks` are ids."""

    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: ModelFormat
    blocks: list[int]


class PayloadFilter(Message):
    """`search` is a part of the name, `block_id` a block that it uses."""

    search: str | None = Field(default=None, max_length=300)
    block_id: Id | None = None


class ListPayloads(PayloadFilter):
    """The first payloads by id after the id `after`."""

    after: int = Field(default=0, ge=0, le=2**63 - 1)


class PayloadPage(Message):
    """As many as fit; `more` says that there are others."""

    payloads: list[Payload]
    more: bool


Blocks = Annotated[list[Id], Field(max_length=MOST_BLOCKS)]
"""Ids of blocks, in order."""

ResponseLength = Annotated[int, Field(ge=1, le=10_000_000)]
"""Tokens."""

Temperature = Annotated[float, Field(ge=0, le=2)]


class CreatePayload(PayloadOptions):
    name: PromptName
    temperature: Temperature = 0.7
    response_length: ResponseLength = 1000
    llm_port: Port
    model_format: ModelFormat = "chat"
    blocks: Blocks = []


class GetPayload(Message):
    payload_id: Id


class UpdatePayload(Change, PayloadOptions):
    """Changes the given fields; null takes an option away. What is another than before becomes the next version."""

    payload_id: Id
    name: PromptName | None = None
    temperature: Temperature | None = None
    response_length: ResponseLength | None = None
    llm_port: Port | None = None
    model_format: ModelFormat | None = None
    blocks: Blocks | None = None


class DeletePayload(GetPayload):
    """One that workflows use is refused, unless `force` takes it out of them."""

    force: bool = False


class ListPayloadVersions(PageRequest):
    payload_id: Id


class PayloadVersionPage(Page[PayloadVersion]):
    """Versions, newest first."""


class RestorePayload(GetPayload):
    """Makes what it was in `version` its next version."""

    version: Version


class PreviewPayload(GetPayload):
    """`inputs` are what its prompt may name: inputs of a run, responses of earlier payloads, `item`."""

    inputs: dict[Annotated[str, StringConstraints(min_length=1, max_length=200)], Any] = Field(
        default={}, max_length=400
    )


class PayloadPreview(Message):
    """`prompt` is the blocks with the inputs in their places; `text` is that as its instance would be asked with it.

    `used` names the inputs that stand in it, `missing` the names in braces that stand for nothing and stay as they are.
    """

    payload_id: int
    prompt: str
    text: str
    used: list[str]
    missing: list[str]
    characters: int


LIST_PAYLOADS = Rpc("orchestrator.v1.payloads.list", ListPayloads, PayloadPage)
CREATE_PAYLOAD = Rpc("orchestrator.v1.payloads.create", CreatePayload, Payload, refusals=CREATED)
GET_PAYLOAD = Rpc("orchestrator.v1.payloads.get", GetPayload, Payload, refusals=UNKNOWN)
UPDATE_PAYLOAD = Rpc("orchestrator.v1.payloads.update", UpdatePayload, Payload, refusals=CHANGED)
DELETE_PAYLOAD = Rpc("orchestrator.v1.payloads.delete", DeletePayload, Payload, refusals=DELETED)
LIST_PAYLOAD_VERSIONS = Rpc(
    "orchestrator.v1.payloads.versions", ListPayloadVersions, PayloadVersionPage, refusals=UNKNOWN
)
RESTORE_PAYLOAD = Rpc("orchestrator.v1.payloads.restore", RestorePayload, Payload, refusals=CHANGED)
PREVIEW_PAYLOAD = Rpc(
    "orchestrator.v1.payloads.preview", PreviewPayload, PayloadPreview, refusals=(*UNKNOWN, RefusalCode.INVALID)
)
