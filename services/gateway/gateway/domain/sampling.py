"""What OpenAI's requests for a chat and for a text have in common.

Parameters that are not named here go to the engine as they are, and so do those that are named only to be checked.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contracts.base import Message
from contracts.router import ChatReply, Embeddings


def _listed_stop(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


class StreamOptions(BaseModel):
    """How to stream; options that are not known here change nothing that the platform sends."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    include_usage: bool = False


class SamplingRequest(Message):
    """The parameters of both. `checked` names those that the platform does not read itself."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    checked: ClassVar[frozenset[str]] = frozenset({"frequency_penalty", "presence_penalty", "logit_bias", "user"})

    model: str = Field(min_length=1, max_length=300)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1, le=128)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: Annotated[list[str] | None, BeforeValidator(_listed_stop, json_schema_input_type=list[str] | str | None)] = (
        Field(default=None, max_length=16)
    )
    seed: int | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    user: str | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def passed_on(self) -> dict[str, Any]:
        """What the engine gets as it was sent."""
        unknown = self.model_extra or {}
        if not (sent := self.model_fields_set & self.checked):
            return unknown
        return {name: value for name in sent if (value := getattr(self, name)) is not None} | unknown


def fingerprint(reply: ChatReply | Embeddings) -> str:
    """Names the engine that answered, and says so if it was a simulated one."""
    return f"simulated:{reply.engine}" if reply.simulated else reply.engine
