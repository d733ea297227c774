"""Who may say what to whom: the JetStream streams, their durable consumers, and the access of each service.

The NATS permissions of each service's user are derived from here, and so is what the provisioner creates.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Literal

from contracts import gateway, orchestrator, registry, router, run_events
from contracts.base import BodyT, Event, Rpc, Stream

DAY = 24 * 3600.0


class Header(StrEnum):
    """Header names on the bus, besides W3C `traceparent` and `tracestate`, and NATS's own."""

    DEADLINE = "Deadline"
    PRINCIPAL = "Principal"
    REQUEST_ID = "Request-Id"
    IDEMPOTENCY_KEY = "Idempotency-Key"
    FRAME = "Frame"


def inbox_prefix(service: str) -> str:
    """Where answers to `service` arrive; no other service may listen there."""
    return f"_INBOX_{service}"


def cancel_subject(contract: Stream[Any, Any, Any] | Rpc[Any, Any]) -> str:
    """Where a caller says that it no longer wants an answer.

    The body names the answer by the inbox that it goes to.
    """
    return contract.subject.rsplit(".", 1)[0] + ".cancel"


@dataclass(frozen=True)
class StreamSpec:
    """A JetStream stream.

    `max_age` in seconds, `max_bytes` in bytes; `work` streams delete a message once it is acknowledged.
    """

    name: str
    subjects: tuple[str, ...]
    retention: Literal["limits", "work"]
    max_age: float
    max_bytes: int


STREAMS = (
    StreamSpec("EVENTS", ("events.>",), "limits", 7 * DAY, 1 << 30),
    StreamSpec("LOGS", ("logs.>",), "limits", 7 * DAY, 1 << 30),
    StreamSpec("RUNS", ("runs.>",), "limits", 2 * DAY, 1 << 30),
    StreamSpec("WORK", ("work.>",), "work", 1 * DAY, 256 << 20),
    StreamSpec("INTERACTIONS", ("interactions.>",), "work", 7 * DAY, 4 << 30),
)


@dataclass(frozen=True)
class Consumer(Generic[BodyT]):
    """A durable pull consumer shared by all replicas of a service. `ack_wait` in seconds."""

    name: str
    event: Event[BodyT]
    ack_wait: float = 30.0
    max_ack_pending: int = 1000


TRAINER_WORK = Consumer("trainer-work", orchestrator.STEP_READY, ack_wait=10.0)
ORCHESTRATOR_LOGS = Consumer("orchestrator-logs", orchestrator.LOG_RECORDED)
# A batch is written in moments; one that died with its router need not be missed in the records for long.
ROUTER_INTERACTIONS = Consumer(
    "router-interactions", router.INTERACTIONS_RECORDED, ack_wait=10.0, max_ack_pending=20_000
)

CONSUMERS: tuple[Consumer[Any], ...] = (TRAINER_WORK, ORCHESTRATOR_LOGS, ROUTER_INTERACTIONS)


@dataclass(frozen=True)
class Access:
    """What one service may do on the bus.

    `serves` is the prefix of its subjects; `asks` are prefixes of others' subjects; `publishes` are event subjects;
    `consumes` are durable
    consumers; `follows` are streams it may read with consumers of its own that vanish with it. `buckets` are those it
    may use in the
    object store.
    """

    service: str
    serves: str | None = None
    asks: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ()
    consumes: tuple[Consumer[Any], ...] = ()
    follows: tuple[str, ...] = ()
    buckets: tuple[str, ...] = field(default=())


DATASETS_BUCKET = "datasets"
ARTIFACTS_BUCKET = "artifacts"

_PROMPTS = tuple(
    f"orchestrator.v1.{noun}.*" for noun in ("prompts", "actions", "templates", "posts", "sections", "content")
)
_WORKFLOWS = tuple(f"orchestrator.v1.{noun}.*" for noun in ("blocks", "payloads", "workflows", "runs"))
_TRIGGERS = ("orchestrator.v1.schedules.*", "orchestrator.v1.webhooks.*")
_TASKS = ("orchestrator.v1.tasks.*", "orchestrator.v1.profiles.*", "orchestrator.v1.roles.*")

ACCESS = (
    Access(
        "gateway",
        serves="gateway.v1.>",
        asks=(
            "registry.v1.>",
            "orchestrator.v1.jobs.*",
            "orchestrator.v1.logs.*",
            *_PROMPTS,
            *_WORKFLOWS,
            *_TRIGGERS,
            *_TASKS,
            "router.v1.>",
        ),
        publishes=("events.gateway.>",),
        follows=("EVENTS", "LOGS", "RUNS"),
        buckets=(DATASETS_BUCKET, ARTIFACTS_BUCKET),
    ),
    Access(
        "llm_router",
        serves="router.v1.>",
        asks=(registry.GET_SERVING.subject,),
        publishes=("events.router.>", router.INTERACTIONS_RECORDED.filter),
        consumes=(ROUTER_INTERACTIONS,),
        follows=("EVENTS",),
        buckets=(ARTIFACTS_BUCKET,),
    ),
    Access(
        "orchestrator",
        serves="orchestrator.v1.>",
        asks=(
            gateway.GET_CALLER.subject,
            registry.GET_DATASET.subject,
            registry.GET_MODEL.subject,
            "registry.v1.runs.*",
            router.LIST_SERVED_MODELS.subject,
            "router.v1.chat.*",
            "router.v1.text.*",
        ),
        publishes=(
            "events.orchestrator.>",
            "work.>",
            orchestrator.LOG_RECORDED.filter,
            run_events.RUN_TOLD.filter,
        ),
        consumes=(ORCHESTRATOR_LOGS,),
        follows=("EVENTS",),
    ),
    Access(
        "trainer",
        asks=(
            "orchestrator.v1.steps.*",
            registry.GET_DATASET.subject,
            registry.GET_MODEL.subject,
            registry.REGISTER_MODEL.subject,
        ),
        publishes=(orchestrator.LOG_RECORDED.filter,),
        consumes=(TRAINER_WORK,),
        follows=("EVENTS",),
        buckets=(DATASETS_BUCKET, ARTIFACTS_BUCKET),
    ),
    Access(
        "registry",
        serves="registry.v1.>",
        asks=(
            orchestrator.GET_METRICS.subject,
            orchestrator.FIND_JOBS_OF_DATASET.subject,
            orchestrator.FIND_PATHS_IN_USE.subject,
            orchestrator.FIND_JOBS_COMPARING.subject,
        ),
        publishes=("events.registry.>",),
        buckets=(DATASETS_BUCKET, ARTIFACTS_BUCKET),
    ),
)


@dataclass(frozen=True)
class Permissions:
    """Subjects that a NATS user may publish and subscribe to; everything else is denied."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def permissions(access: Access) -> Permissions:
    """The NATS permissions that follow from what a service does."""
    publish = [*access.asks, *access.publishes, "$JS.API.INFO"]
    subscribe = [f"{inbox_prefix(access.service)}.>"]
    if access.serves is not None:
        subscribe.append(access.serves)
        # Answers go to the inboxes of those who may ask. `allow_responses` would expire under a long stream.
        publish += [f"{inbox_prefix(other.service)}.>" for other in ACCESS]
    for consumer in access.consumes:
        stream, name = consumer.event.stream, consumer.name
        publish += [
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}",
            f"$JS.API.CONSUMER.INFO.{stream}.{name}",
            f"$JS.ACK.{stream}.{name}.>",
        ]
    for stream in access.follows:
        publish += [
            f"$JS.API.CONSUMER.CREATE.{stream}.>",
            f"$JS.API.CONSUMER.DELETE.{stream}.*",
            f"$JS.API.CONSUMER.INFO.{stream}.*",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
        ]
    return Permissions(tuple(publish), tuple(subscribe))
