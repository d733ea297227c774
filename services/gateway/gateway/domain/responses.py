"""OpenAI's Responses API: its request as a `Chat` of the platform, and the response that a `ChatReply` becomes.

Source: https://platform.openai.com/docs/api-reference/responses. The platform keeps no responses, so a conversation
is sent whole each time, as clients do with `store: false`; what would need a kept one is refused, never ignored.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from contracts.base import Message, RefusalCode, Refused
from contracts.router import Chat, ChatMessage, Usage

Json = dict[str, Any]
_LOGPROBS = "message.output_text.logprobs"
_INCLUDABLE = (_LOGPROBS, "reasoning.encrypted_content")
"""What may be asked for besides the answer. Reasoning is told in the open where an engine gives it, never encrypted."""


# The request


class TextFormat(BaseModel):
    """What form the answer shall have; `name`, `schema`, `strict` and `description` belong to a `json_schema`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = Field(default=None, min_length=1, max_length=64)
    json_schema: Json | None = Field(default=None, alias="schema")
    strict: bool | None = None
    description: str | None = None


class TextOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(BaseModel):
    """`effort` goes to the engine. Summaries are not made, so a wish for one changes nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    effort: str | None = Field(default=None, max_length=20)


MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataText = Annotated[str, StringConstraints(max_length=512)]


class ResponsesRequest(Message):
    """A response as OpenAI's clients ask for one. Parameters that are not named here go to the engine as they are.

    `store` is false whether or not it is given: nothing is kept.
    """

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    passed_on: ClassVar[tuple[str, ...]] = ("user", "safety_identifier", "prompt_cache_key", "service_tier")
    unsupported: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "store": (None, False),
        "background": (None, False),
        "previous_response_id": (None,),
        "conversation": (None,),
        "prompt": (None,),
        "truncation": (None, "disabled"),
        "context_management": (None,),
        "moderation": (None,),
    }
    """What needs a kept response or OpenAI's own services, each with the values that ask for nothing."""

    model: str = Field(min_length=1, max_length=300)
    input: str | Annotated[list[Json], Field(min_length=1, max_length=10_000)]
    instructions: str | None = None
    stream: bool | None = False
    stream_options: Json | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    text: TextOptions | None = None
    tools: list[Json] | None = Field(default=None, max_length=1000)
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = Field(default=None, ge=1)
    reasoning: ReasoningOptions | None = None
    include: list[str] | None = Field(default=None, max_length=20)
    metadata: dict[MetadataKey, MetadataText] | None = Field(default=None, max_length=16)
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | Json | None = None
    prompt: Json | None = None
    truncation: str | None = None
    context_management: list[Json] | None = None
    moderation: Json | None = None

    def question(self) -> Chat:
        """The same question in the platform's words. Raises `Refused(INVALID)` for what cannot be asked here."""
        for name, harmless in self.unsupported.items():
            if getattr(self, name) not in harmless:
                raise _unsupported(name, f"{name} is not supported: this platform keeps no responses")
        return Chat(
            model=self.model,
            messages=[*self._instructions(), *_messages(self.input)],
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_output_tokens,
            response_format=self._response_format(),
            extra=self._extra(),
            route="responses",
        )

    @property
    def format(self) -> TextFormat:
        return (self.text.format if self.text is not None else None) or TextFormat()

    def _instructions(self) -> Iterator[ChatMessage]:
        if self.instructions is not None:
            yield ChatMessage(role="system", content=self.instructions)

    def _response_format(self) -> Json | None:
        wanted = self.format
        if wanted.type == "text":
            return None
        if wanted.type == "json_object":
            return {"type": "json_object"}
        if wanted.name is None or wanted.json_schema is None:
            raise _invalid("text.format", "a json_schema needs `name` and `schema`")
        schema = wanted.model_dump(include={"name", "description", "strict"}, exclude_none=True)
        return {"type": "json_schema", "json_schema": {**schema, "schema": wanted.json_schema}}

    def _extra(self) -> Json:
        """What the engine gets besides, under the names that chat completions have for it."""
        extra: Json = dict(self.model_extra or {})
        extra |= {name: value for name in self.passed_on if (value := getattr(self, name)) is not None}
        if self.max_output_tokens is not None:
            extra["max_completion_tokens"] = self.max_output_tokens
        if self.tools:
            extra["tools"] = [_chat_tool(tool, f"tools[{index}]") for index, tool in enumerate(self.tools)]
            extra["tool_choice"] = _chat_tool_choice(self.tool_choice)
            if self.parallel_tool_calls is not None:
                extra["parallel_tool_calls"] = self.parallel_tool_calls
        if self.top_logprobs or _LOGPROBS in self._included():
            extra |= {"logprobs": True, "top_logprobs": self.top_logprobs or 0}
        if self.reasoning is not None and self.reasoning.effort is not None:
            extra["reasoning_effort"] = self.reasoning.effort
        if self.text is not None and self.text.verbosity is not None:
            extra["verbosity"] = self.text.verbosity
        return extra

    def _included(self) -> list[str]:
        for name in self.include or ():
            if name not in _INCLUDABLE:
                raise _unsupported("include", f"include: {name!r} is not supported")
        return self.include or []


def _chat_tool(tool: Json, where: str) -> Json:
    kind = tool.get("type")
    if kind != "function":
        raise _unsupported(where, f"{where}: tools of the type {kind!r} are not supported, only functions are")
    if not isinstance(tool.get("name"), str):
        raise _invalid(f"{where}.name", "a text is required")
    named = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in named if tool.get(name) is not None}}


def _chat_tool_choice(choice: str | Json | None) -> str | Json:
    match choice:
        case None:
            return "auto"
        case "auto" | "none" | "required":
            return choice
        case {"type": "function", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
        case _:
            raise _unsupported("tool_choice", "tool_choice must be auto, none, required, or name a function")


# The input: items become messages


def _messages(given: str | list[Json]) -> list[ChatMessage]:
    """The messages of a conversation. What an assistant said and the calls it made are one message."""
    if isinstance(given, str):
        return [ChatMessage(role="user", content=given)]
    messages: list[ChatMessage] = []
    for index, item in enumerate(given):
        where = f"input[{index}]"
        match item.get("type", "message"):
            case "message":
                messages.append(_message(item, where))
            case "function_call":
                _add_call(messages, _call(item, where))
            case "function_call_output":
                content = _content(item.get("output"), f"{where}.output")
                messages.append(ChatMessage(role="tool", tool_call_id=_text(item, "call_id", where), content=content))
            case "reasoning":
                pass  # Chat completions have no place for what a model thought before.
            case kind:
                raise _unsupported(where, f"{where}: items of the type {kind!r} are not supported")
    if not messages:
        raise _invalid("input", "at least one message is required")
    return messages


def _message(item: Json, where: str) -> ChatMessage:
    role = item.get("role")
    if role not in ("user", "assistant", "system", "developer"):
        raise _invalid(f"{where}.role", "must be user, assistant, system or developer")
    return ChatMessage(role=role, content=_content(item.get("content"), f"{where}.content"))


def _call(item: Json, where: str) -> Json:
    function = {name: _text(item, name, where) for name in ("name", "arguments")}
    return {"id": _text(item, "call_id", where), "type": "function", "function": function}


def _add_call(messages: list[ChatMessage], call: Json) -> None:
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        messages.append(ChatMessage(role="assistant", tool_calls=[call]))
    else:
        messages[-1] = last.model_copy(update={"tool_calls": [*(last.tool_calls or ()), call]})


def _content(content: object, where: str) -> str | list[Json]:
    """A text, or the parts of chat completions. Parts that are all text are one text, which every engine reads."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise _invalid(where, "must be a text or a list of parts")
    parts = [_part(part, f"{where}[{index}]") for index, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Json, where: str) -> Json:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": _text(part, "text", where)}
        case "refusal":
            return {"type": "text", "text": _text(part, "refusal", where)}
        case "input_image":
            image = {"url": _text(part, "image_url", where)}
            return {"type": "image_url", "image_url": image | _given(part, ("detail",))}
        case "input_file":
            return {
                "type": "file",
                "file": {"file_data": _text(part, "file_data", where)} | _given(part, ("filename",)),
            }
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
        case kind:
            raise _unsupported(where, f"{where}: parts of the type {kind!r} are not supported")


def _given(part: Json, names: Iterable[str]) -> Json:
    return {name: part[name] for name in names if part.get(name) is not None}


def _text(item: Json, name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise _invalid(f"{where}.{name}", "a text is required")
    return value


def _invalid(param: str, what: str) -> Refused:
    return Refused(RefusalCode.INVALID, f"{param}: {what}", {"param": param})


def _unsupported(param: str, message: str) -> Refused:
    return Refused(RefusalCode.INVALID, message, {"param": param, "code": "unsupported_parameter"})


# The response


ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(Message):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Json] = []
    logprobs: list[Json] = []


class OutputRefusal(Message):
    type: Literal["refusal"] = "refusal"
    refusal: str


class ReasoningText(Message):
    type: Literal["reasoning_text"] = "reasoning_text"
    text: str


Part = OutputText | OutputRefusal | ReasoningText


class OutputMessage(Message):
    """What the model said."""

    type: Literal["message"] = "message"
    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: list[OutputText | OutputRefusal]


class OutputReasoning(Message):
    """What the model thought first, where the engine tells."""

    type: Literal["reasoning"] = "reasoning"
    id: str
    status: ItemStatus
    summary: list[Json] = []
    content: list[ReasoningText]


class OutputCall(Message):
    """A call of one of the caller's functions; `arguments` is JSON, as the model wrote it."""

    type: Literal["function_call"] = "function_call"
    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


OutputItem = OutputMessage | OutputReasoning | OutputCall


class InputDetails(Message):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Message):
    reasoning_tokens: int = 0


class ResponseUsage(Message):
    """Tokens. The details are 0: engines' own are not told over the platform."""

    input_tokens: int
    input_tokens_details: InputDetails = InputDetails()
    output_tokens: int
    output_tokens_details: OutputDetails = OutputDetails()
    total_tokens: int


class ResponseError(Message):
    code: str
    message: str


class IncompleteDetails(Message):
    reason: Literal["max_output_tokens", "content_filter"]


class Response(Message):
    """A response. `system_fingerprint` names the engine that made it, and says if it was a simulated one."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    system_fingerprint: str | None = None
    output: list[OutputItem]
    usage: ResponseUsage | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    reasoning: Json
    temperature: float | None
    text: Json
    tool_choice: str | Json
    tools: list[Json]
    top_logprobs: int
    top_p: float | None
    user: str | None
    background: Literal[False] = False
    previous_response_id: None = None
    store: Literal[False] = False
    truncation: Literal["disabled"] = "disabled"


def opened(asked: ResponsesRequest, response_id: str, created_at: int) -> Response:
    """The response before anything was said: it repeats what was asked."""
    verbosity = asked.text.verbosity if asked.text is not None else None
    return Response(
        id=response_id,
        created_at=created_at,
        status="in_progress",
        model=asked.model,
        output=[],
        instructions=asked.instructions,
        max_output_tokens=asked.max_output_tokens,
        max_tool_calls=asked.max_tool_calls,
        metadata=asked.metadata or {},
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        reasoning={"effort": asked.reasoning.effort if asked.reasoning is not None else None, "summary": None},
        temperature=asked.temperature,
        text={
            "format": asked.format.model_dump(by_alias=True, exclude_none=True),
            **({"verbosity": verbosity} if verbosity is not None else {}),
        },
        tool_choice=asked.tool_choice or "auto",
        tools=asked.tools or [],
        top_logprobs=asked.top_logprobs or 0,
        top_p=asked.top_p,
        user=asked.user,
    )


def response_usage(usage: Usage) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=usage.total_tokens
    )
