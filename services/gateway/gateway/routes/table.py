"""What a row of the HTTP table says: from it requests are answered and OpenAPI is printed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from contracts.base import ChunkT, FinalT, Message, RefusalCode, ReplyT, RequestT, Rpc, Stream
from contracts.gateway import Role

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
ViewT = TypeVar("ViewT", bound=BaseModel)

STYLE_HEADER = "X-Response-Style"
IDEMPOTENCY_HEADER = "Idempotency-Key"
TICKET = "ticket"
HOOKS = "/api/hooks/"
"""What a webhook's URL begins with; a secret follows."""
_PARAMETER = re.compile(r"\{(\w+)(?::[^}]+)?\}")
_WITH_BODY = ("POST", "PUT", "PATCH")


class Family(StrEnum):
    """A set of routes that share the form of their errors, each from one API document."""

    LLM = "llm"
    TEMPLATES = "templates"
    ORCHESTRATION = "orchestration"
    SERVER = "server"
    PIPELINE = "pipeline"
    OPENAI = "openai"


_PREFIXES = (
    ("/api/v1/llm", Family.LLM),
    ("/api/v1/tasks", Family.SERVER),
    ("/api/v1/profiles", Family.SERVER),
    ("/api/v1/roles", Family.SERVER),
    ("/api/v1/metrics", Family.SERVER),
    ("/api/v1", Family.PIPELINE),
    ("/api", Family.ORCHESTRATION),
    ("/ws/jobs", Family.PIPELINE),
    ("/ws", Family.ORCHESTRATION),
    ("/v1", Family.OPENAI),
)


# Document B's template settings share their path with its actions.
_TEMPLATES = {
    "POST": re.compile(r"/api/v1/llm/actions/"),
    "GET": re.compile(r"/api/v1/llm/actions/[^/]*[^0-9/][^/]*"),
}


def family_of(path: str, method: str) -> Family:
    """The family whose form an answer of `method` under `path` has. What no document claims has document E's."""
    if (templates := _TEMPLATES.get(method)) is not None and templates.fullmatch(path):
        return Family.TEMPLATES
    for prefix, family in _PREFIXES:
        if path == prefix or path.startswith(prefix + "/"):
            return family
    return Family.PIPELINE


class Tag(StrEnum):
    """The group that the API description lists a route in, in this order."""

    CHAT = "OpenAI-compatible"
    DATASETS = "Datasets"
    JOBS = "Jobs"
    LOGS = "Logs"
    MODELS = "Models"
    LLM = "LLM"
    ACTIONS = "Prompts and actions"
    CONTENT = "Posts and their content"
    TASKS = "Tasks"
    WORKFLOWS = "Workflows"
    RUNS = "Workflow runs"
    KEYS = "API keys"
    PEOPLE = "Users and sessions"
    PLATFORM = "Platform"


class Special(StrEnum):
    """Routes that are more than one question over the bus; `gateway.handlers` answers each."""

    LEAD = "lead"
    PAGE = "page"
    OPENAPI = "openapi"
    HEALTH = "health"
    READY = "ready"
    CREATE_KEY = "create_key"
    LIST_KEYS = "list_keys"
    GET_KEY = "get_key"
    REPLACE_KEY = "replace_key"
    CHANGE_KEY = "change_key"
    REVOKE_KEY = "revoke_key"
    CREATE_USER = "create_user"
    LIST_USERS = "list_users"
    GET_USER = "get_user"
    CHANGE_USER = "change_user"
    REMOVE_USER = "remove_user"
    LOG_IN = "log_in"
    LOG_OUT = "log_out"
    LOG_OUT_EVERYWHERE = "log_out_everywhere"
    ME = "me"
    CHANGE_PASSWORD = "change_password"  # noqa: S105 - a name
    CHAT = "chat"
    TEXT = "text"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    SERVED_MODEL = "served_model"
    TEST_PROMPT = "test_prompt"
    LIST_ACTIONS = "list_actions"
    NAMED_ACTION = "named_action"
    LIST_PROMPTS = "list_prompts"
    LIST_BLOCKS = "list_blocks"
    LIST_PAYLOADS = "list_payloads"
    LIST_WORKFLOWS = "list_workflows"
    RUN_STATUS = "run_status"
    RUN_RESPONSES = "run_responses"
    COMPARE_RUNS = "compare_runs"
    UPLOAD_DATASET = "upload_dataset"
    CREATE_UPLOAD = "create_upload"
    GET_UPLOAD = "get_upload"
    APPEND_UPLOAD = "append_upload"
    END_UPLOAD = "end_upload"
    DOWNLOAD_MODEL = "download_model"
    END_JOB = "end_job"
    LIST_ARTIFACTS = "list_artifacts"
    DOWNLOAD_ARTIFACT = "download_artifact"
    WATCH_JOB = "watch_job"
    STREAM_LOGS = "stream_logs"
    WATCH_RUNS = "watch_runs"
    FOLLOW_RUN = "follow_run"
    ISSUE_TICKET = "issue_ticket"
    CALL_WEBHOOK = "call_webhook"
    SERVER_METRICS = "server_metrics"


class Quota(StrEnum):
    """What a row counts towards, besides the requests of its caller (document B)."""

    TEST = "test"
    EXECUTION = "execution"


@dataclass(frozen=True)
class View(Generic[ReplyT]):
    """The form that a document gives to a reply where it differs. `model` is None for text that is not JSON."""

    model: type[BaseModel] | None
    shape: Callable[[ReplyT], BaseModel | str]
    media: str = "application/json"


def view(model: type[ViewT], shape: Callable[[ReplyT], ViewT]) -> View[ReplyT]:
    return View(model, shape)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One row: a method and a path, what answers, and how the answer looks.

    `path` is OpenAPI's template; `{name:.+}` also takes slashes. The fields of `request` come from the path where it
    names them, the others from the JSON body of a POST, PUT or PATCH and from the query of a GET or DELETE. `role` is
    the least role that may call; None opens the route to everyone. `response` is None for an answer that is not JSON.
    `stream` is an execution, whose final message is the answer. `once` says that a request which is repeated with the
    same `Idempotency-Key` is done once. `omit_absent` leaves fields out that are null. `refusals` are the codes it may
    answer with, besides those of the edge.
    """

    method: Method
    path: str
    tag: Tag
    summary: str
    role: Role | None
    request: type[Message]
    response: type[BaseModel] | None
    rpc: Rpc[Any, Any] | None = None
    stream: Stream[Any, Any, Any] | None = None
    shape: Callable[[Any], BaseModel | str] | None = None
    special: Special | None = None
    quota: Quota | None = None
    once: bool = False
    status: int = 200
    media: str = "application/json"
    request_media: str = "application/json"
    omit_absent: bool = False
    refusals: tuple[RefusalCode, ...] = ()
    description: str = ""
    example: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if [self.rpc, self.stream, self.special].count(None) != 2:
            raise ValueError(f"{self.method} {self.path}: answered by an Rpc, by an execution or specially")
        if missing := set(self.path_names) - set(self.request.model_fields):
            raise ValueError(f"{self.method} {self.path}: {self.request.__name__} has no {sorted(missing)}")

    @property
    def ends(self) -> bool:
        """Whether its answer is one thing, and no stream of events or messages."""
        return self.media != "text/event-stream" and self.status != 101

    @property
    def family(self) -> Family:
        return family_of(self.template, self.method)

    @cached_property
    def template(self) -> str:
        """The path as OpenAPI, spans and metrics name it."""
        return _PARAMETER.sub(r"{\1}", self.path)

    @cached_property
    def path_names(self) -> tuple[str, ...]:
        return tuple(_PARAMETER.findall(self.path))

    @cached_property
    def query_names(self) -> tuple[str, ...]:
        return () if self.method in _WITH_BODY else self._other_names

    @cached_property
    def body_names(self) -> tuple[str, ...]:
        return self._other_names if self.method in _WITH_BODY else ()

    @property
    def takes_ticket(self) -> bool:
        """Whether a ticket in the query says who calls."""
        return TICKET in self.query_names

    @property
    def _other_names(self) -> tuple[str, ...]:
        return tuple(name for name in self.request.model_fields if name not in self.path_names)


def asks(
    method: Method,
    path: str,
    rpc: Rpc[RequestT, ReplyT],
    *,
    tag: Tag,
    summary: str,
    role: Role | None = None,
    view: View[ReplyT] | None = None,
    quota: Quota | None = None,
    once: bool = False,
    status: int = 200,
    omit_absent: bool = False,
    description: str = "",
    example: Mapping[str, Any] | None = None,
) -> Route:
    """A row that is one question over the bus. Without `role`, a viewer may read and a member may write."""
    return Route(
        method=method,
        path=path,
        tag=tag,
        summary=summary,
        role=role or ("viewer" if method == "GET" else "member"),
        request=rpc.request,
        response=view.model if view is not None else rpc.reply,
        rpc=rpc,
        shape=view.shape if view is not None else None,
        media=view.media if view is not None else "application/json",
        quota=quota,
        once=once,
        status=status,
        omit_absent=omit_absent,
        refusals=rpc.refusals,
        description=description,
        example=example,
    )


def executes(
    path: str,
    stream: Stream[RequestT, ChunkT, FinalT],
    *,
    tag: Tag,
    summary: str,
    description: str,
    quota: Quota,
    view: View[FinalT] | None = None,
    example: Mapping[str, Any] | None = None,
) -> Route:
    """A row that has something executed, and answers with how it ended."""
    return Route(
        method="POST",
        path=path,
        tag=tag,
        summary=summary,
        role="member",
        request=stream.request,
        response=view.model if view is not None else stream.final,
        stream=stream,
        shape=view.shape if view is not None else None,
        quota=quota,
        once=True,
        refusals=stream.refusals,
        description=description,
        example=example,
    )
