"""LLM instances (document C): engines of the router that a port names, and what probing them finds."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Empty, Message, RefusalCode, Rpc, Timestamp
from contracts.engines import EngineName
from contracts.router import AuthToken, ProviderType

Port = Annotated[int, Field(ge=1, le=65535)]
InstanceStatus = Literal["available", "unavailable", "disabled"]

_AT = "port:"


def model_at(port: int, model: str | None = None) -> str:
    """The name under which the router is asked for the instance on a port: its first model, or the one named."""
    return f"{_AT}{port}" if model is None else f"{_AT}{port}/{model}"


def port_of(name: str) -> tuple[int, str | None] | None:
    """The port, and the model if one is named, that a name made by `model_at` stands for; None for any other name."""
    if not name.startswith(_AT):
        return None
    port, _, model = name.removeprefix(_AT).partition("/")
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        return None
    return int(port), model or None


class InstanceConfig(Message):
    """What a completion that is asked of the instance by its port has where it says nothing else; tokens at most."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    max_length: int = Field(default=1000, ge=1, le=10_000_000)


class Instance(Message):
    """An engine that a port names."""

    port: int
    name: str
    status: InstanceStatus
    last_used: Timestamp | None
    config: InstanceConfig


class Instances(Message):
    """By port."""

    instances: list[Instance]


class CreateInstance(Message):
    """Registers the engine on a port of this machine, of `host`, or where `api_base` says.

    Without `provider_type` it is asked which API it speaks; one that does not answer is taken for OpenAI's.
    """

    port: Port
    name: EngineName
    provider_type: ProviderType | None = None
    host: str | None = Field(default=None, min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")
    api_base: str | None = Field(default=None, min_length=1, max_length=2000)
    auth_token: AuthToken | None = Field(default=None, min_length=1)
    config: InstanceConfig = InstanceConfig()


class UpdateInstance(Message):
    """Changes the given fields. An empty `auth_token` takes the token away; a port is for good."""

    port: Port
    name: EngineName | None = None
    provider_type: ProviderType | None = None
    host: str | None = Field(default=None, min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")
    api_base: str | None = Field(default=None, min_length=1, max_length=2000)
    auth_token: AuthToken | None = None
    enabled: bool | None = None
    config: InstanceConfig | None = None


class OnPort(Message):
    port: Port


class ModelInfo(Message):
    """What an instance says of itself, as far as it does."""

    model: str | None
    version: str | None


class InstanceTest(Message):
    """Whether an instance answers; `error` says why it does not."""

    connected: bool
    model_info: ModelInfo | None
    timestamp: Timestamp
    error: str | None = None


class ListedModel(Message):
    """A model as OpenAI's API lists it."""

    id: str
    object: str
    created: int
    owned_by: str


class InstanceInfo(Message):
    """What both APIs say: `kobold` is null where KoboldAI's does not answer, `openai` its list of models likewise."""

    port: int
    timestamp: Timestamp
    connected: bool
    model_info: ModelInfo | None
    kobold: ModelInfo | None
    openai: list[ListedModel] | None


_UNKNOWN = (RefusalCode.NOT_FOUND,)
_CHANGED = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.FORBIDDEN, RefusalCode.CONFLICT)

LIST_INSTANCES = Rpc("router.v1.instances.list", Empty, Instances)
CREATE_INSTANCE = Rpc(
    "router.v1.instances.create",
    CreateInstance,
    Instance,
    refusals=(RefusalCode.INVALID, RefusalCode.FORBIDDEN, RefusalCode.CONFLICT),
    timeout=20.0,
)
GET_INSTANCE = Rpc("router.v1.instances.get", OnPort, Instance, refusals=_UNKNOWN)
UPDATE_INSTANCE = Rpc("router.v1.instances.update", UpdateInstance, Instance, refusals=_CHANGED, timeout=20.0)
DELETE_INSTANCE = Rpc("router.v1.instances.delete", OnPort, Instance, refusals=_CHANGED)
TEST_INSTANCE = Rpc("router.v1.instances.test", OnPort, InstanceTest, refusals=_UNKNOWN, timeout=20.0)
DESCRIBE_INSTANCE = Rpc("router.v1.instances.describe", OnPort, InstanceInfo, refusals=_UNKNOWN, timeout=20.0)
