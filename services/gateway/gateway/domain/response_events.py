"""A response of OpenAI's Responses API as it grows: its typed events in their order, and the whole at the end.

One path serves both ways of asking: a response that is not streamed is the last event's.

    response.created, response.in_progress
      response.output_item.added                       for each item: reasoning, a message, a function's call
        response.content_part.added                    a message's and reasoning's text is a part
          response.output_text.delta …                 or .reasoning_text, .refusal, .function_call_arguments
          response.output_text.done
        response.content_part.done
      response.output_item.done
    response.completed | response.incomplete | response.failed, then error
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from contracts.base import Message
from contracts.router import ChatDelta, ChatReply, whole_delta
from gateway.domain.responses import (
    IncompleteDetails,
    ItemStatus,
    Json,
    OutputCall,
    OutputItem,
    OutputMessage,
    OutputReasoning,
    OutputRefusal,
    OutputText,
    Part,
    ReasoningText,
    Response,
    ResponseError,
    ResponsesRequest,
    opened,
    response_usage,
)
from gateway.domain.sampling import fingerprint

TextKind = Literal["output_text", "refusal", "reasoning_text"]
_REASONING = ("reasoning_content", "reasoning")
"""What engines call the field of a message that holds its reasoning."""


class ResponseEvent(Message):
    """One event of a streamed response; which of the fields it has depends on its type."""

    type: str
    sequence_number: int
    response: Response | None = None
    output_index: int | None = None
    item: OutputItem | None = None
    item_id: str | None = None
    content_index: int | None = None
    part: Part | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    logprobs: list[Json] | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    error: Json | None = None


@dataclass
class _Text:
    """A part of text that grows, alone or beside others in its item."""

    kind: TextKind
    pieces: list[str] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def part(self) -> Part:
        match self.kind:
            case "output_text":
                return OutputText(text=self.text, logprobs=self.logprobs)
            case "refusal":
                return OutputRefusal(refusal=self.text)
            case "reasoning_text":
                return ReasoningText(text=self.text)


@dataclass
class _TextItem:
    """A message, or reasoning: both are parts of text."""

    index: int
    reasoning: bool
    id: str = ""
    parts: list[_Text] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.id = _new_id("rs" if self.reasoning else "msg")

    def item(self, status: ItemStatus) -> OutputItem:
        parts: list[Any] = [text.part() for text in self.parts]
        kind = OutputReasoning if self.reasoning else OutputMessage
        return kind(id=self.id, status=status, content=parts)


@dataclass
class _CallItem:
    index: int
    call_id: str
    name: str
    id: str = field(default_factory=lambda: _new_id("fc"))
    pieces: list[str] = field(default_factory=list)

    def item(self, status: ItemStatus) -> OutputCall:
        return OutputCall(
            id=self.id, status=status, call_id=self.call_id, name=self.name, arguments="".join(self.pieces)
        )


class ResponseEvents:
    """The events of one response, told one after another.

    A text ends when something else begins. Calls stay open to the end, since engines may mix the pieces of several.
    """

    def __init__(self, asked: ResponsesRequest) -> None:
        self._response = opened(asked, _new_id("resp"), int(time.time()))
        self._number = 0
        self._count = 0
        self._done: dict[int, OutputItem] = {}
        self._text: _TextItem | None = None
        self._calls: dict[int, _CallItem] = {}

    def opening(self) -> Iterator[ResponseEvent]:
        yield self._event("response.created", response=self._response)
        yield self._event("response.in_progress", response=self._response)

    def delta(self, delta: ChatDelta) -> Iterator[ResponseEvent]:
        """What a piece of the answer adds. Of several choices, which this API does not know, the first is told."""
        if delta.get("index"):
            return
        extra = delta.get("extra", {})
        for name in _REASONING:
            if isinstance(thought := extra.get(name), str) and thought:
                yield from self._add("reasoning_text", thought, [])
                break
        if isinstance(refusal := extra.get("refusal"), str) and refusal:
            yield from self._add("refusal", refusal, [])
        if content := delta.get("content"):
            yield from self._add("output_text", content, delta.get("logprobs", {}).get("content") or [])
        for call in delta.get("tool_calls", ()):
            yield from self._add_call(call)

    def ending(self, reply: ChatReply) -> Iterator[ResponseEvent]:
        """What comes last: the items' ends, and the whole response."""
        if not self._count:
            yield from self._add("output_text", "", [])
        cut = _INCOMPLETE.get(reply.finish_reason or "")
        yield from self._close_all("completed" if cut is None else "incomplete")
        whole = self._response.model_copy(
            update={
                "status": "completed" if cut is None else "incomplete",
                "completed_at": int(time.time()) if cut is None else None,
                "incomplete_details": cut,
                "model": reply.model,
                "system_fingerprint": fingerprint(reply),
                "output": self._output(),
                "usage": response_usage(reply.usage),
            }
        )
        yield self._event(f"response.{whole.status}", response=whole)

    def failure(self, error: Json) -> Iterator[ResponseEvent]:
        """The end of a response that broke off; `error` is OpenAI's, which its clients raise. Nothing is `done`."""
        code = "rate_limit_exceeded" if error["code"] == "rate_limit_exceeded" else "server_error"
        started: list[_TextItem | _CallItem] = [*self._calls.values(), *([self._text] if self._text else [])]
        self._done |= {item.index: item.item("incomplete") for item in started}
        failed = self._response.model_copy(
            update={
                "status": "failed",
                "error": ResponseError(code=code, message=error["message"]),
                "output": self._output(),
            }
        )
        yield self._event("response.failed", response=failed)
        # The documented event has these fields at the top; clients raise an exception for an `error` object.
        yield self._event("error", code=error["code"], message=error["message"], param=error["param"], error=error)

    def _add(self, kind: TextKind, piece: str, logprobs: list[Json]) -> Iterator[ResponseEvent]:
        reasoning = kind == "reasoning_text"
        if self._text is not None and self._text.reasoning is not reasoning:
            yield from self._close_text("completed")
        if self._text is None:
            self._text = _TextItem(self._next_index(), reasoning)
            started = self._text.item("in_progress")
            yield self._event("response.output_item.added", output_index=self._text.index, item=started)
        if not self._text.parts or self._text.parts[-1].kind != kind:
            if self._text.parts:
                yield from self._end_part(self._text)
            self._text.parts.append(_Text(kind))
            yield self._event("response.content_part.added", **self._place(self._text), part=_Text(kind).part())
        growing = self._text.parts[-1]
        growing.pieces.append(piece)
        growing.logprobs += logprobs
        if piece:
            told: Json = {"logprobs": logprobs} if kind == "output_text" else {}
            yield self._event(f"response.{kind}.delta", **self._place(self._text), delta=piece, **told)

    def _add_call(self, piece: Json) -> Iterator[ResponseEvent]:
        function = piece.get("function") or {}
        number = piece.get("index", len(self._calls))
        call = self._calls.get(number)
        if call is None:
            yield from self._close_text("completed")
            call_id = piece.get("id") or _new_id("call")
            call = self._calls[number] = _CallItem(self._next_index(), call_id, function.get("name") or "")
            started = call.item("in_progress")
            yield self._event("response.output_item.added", output_index=call.index, item=started)
        if arguments := function.get("arguments"):
            call.pieces.append(arguments)
            yield self._event(
                "response.function_call_arguments.delta", output_index=call.index, item_id=call.id, delta=arguments
            )

    def _close_all(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        yield from self._close_text(status)
        for call in self._calls.values():
            whole = call.item(status)
            self._done[call.index] = whole
            yield self._event(
                "response.function_call_arguments.done",
                output_index=call.index,
                item_id=call.id,
                arguments=whole.arguments,
            )
            yield self._event("response.output_item.done", output_index=call.index, item=whole)

    def _close_text(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        if (closing := self._text) is None:
            return
        yield from self._end_part(closing)
        self._text, whole = None, closing.item(status)
        self._done[closing.index] = whole
        yield self._event("response.output_item.done", output_index=closing.index, item=whole)

    def _end_part(self, item: _TextItem) -> Iterator[ResponseEvent]:
        text, place = item.parts[-1], self._place(item)
        told: Json = {"refusal": text.text} if text.kind == "refusal" else {"text": text.text}
        if text.kind == "output_text":
            told["logprobs"] = text.logprobs
        yield self._event(f"response.{text.kind}.done", **place, **told)
        yield self._event("response.content_part.done", **place, part=text.part())

    def _place(self, item: _TextItem) -> Json:
        return {"output_index": item.index, "item_id": item.id, "content_index": len(item.parts) - 1}

    def _output(self) -> list[OutputItem]:
        return [self._done[index] for index in sorted(self._done)]

    def _next_index(self) -> int:
        self._count += 1
        return self._count - 1

    def _event(self, kind: str, **fields: Any) -> ResponseEvent:
        self._number += 1
        return ResponseEvent(type=kind, sequence_number=self._number - 1, **fields)


_INCOMPLETE = {
    "length": IncompleteDetails(reason="max_output_tokens"),
    "content_filter": IncompleteDetails(reason="content_filter"),
}


def response(asked: ResponsesRequest, reply: ChatReply) -> Response:
    """The response that is not streamed: what its last event would tell."""
    events = ResponseEvents(asked)
    *_, last = [*events.delta(whole_delta(0, reply)), *events.ending(reply)]
    assert last.response is not None  # noqa: S101 - an ending ends with the whole
    return last.response


def _new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
