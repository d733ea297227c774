"""Streamed answers of OpenAI's API: from bytes to pieces for the caller, and to the whole. No I/O."""

from dataclasses import dataclass, field
from typing import Any, cast

from contracts.router import ChatDelta, Choice, FinishReason, chat_delta
from llm_router.domain.engines import Answer
from llm_router.domain.failures import EngineFailure
from llm_router.engine.openai_wire import (
    Json,
    answer_id,
    error_fields,
    failure_of,
    finish_reason,
    invalid_answer,
    other_fields,
    read_logprobs,
    read_object,
    read_usage,
)

DONE = b"[DONE]"
_LONGEST_LINE = 8 * 1024 * 1024
_LARGEST_STREAM = 256 * 1024 * 1024
_MOST_CHOICES = 1024


class EventLines:
    """Cuts a stream of server-sent events into the payloads of its `data:` lines, however the bytes arrive."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._length = 0
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        self._size += len(data)
        if self._size > _LARGEST_STREAM:
            raise invalid_answer("is too large")
        lines = data.split(b"\n")
        rest = lines.pop()
        # A line is put together once its end is there: with every part a long one would cost its whole length again.
        if lines and self._begun:
            lines[0] = b"".join((*self._begun, lines[0]))
            self._begun.clear()
            self._length = 0
        if rest:
            self._begun.append(rest)
            self._length += len(rest)
            if self._length > _LONGEST_LINE:
                raise invalid_answer("has a line that never ends")
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]


@dataclass
class _Part:
    """One choice while it grows."""

    finished: bool = False
    reason: FinishReason | None = None
    pieces: list[str] = field(default_factory=list)
    tool_calls: dict[int, Json] = field(default_factory=dict)
    logprobs: Json | None = None
    extra: Json = field(default_factory=dict)

    def take(self, index: int, choice: Json) -> ChatDelta:
        """What a frame adds to the choice, empty where that is nothing."""
        delta = choice.get("delta") or {}
        content = (delta.get("content") or "") if "text" not in choice else choice["text"]
        if not isinstance(content, str):
            raise TypeError("content is no text")
        if content:
            self.pieces.append(content)
        if choice.get("finish_reason") is not None:
            self.finished, self.reason = True, finish_reason(choice["finish_reason"])
        elif content and len(delta) <= 1 and choice.get("logprobs") is None:
            # Nothing but text, as nearly all are.
            return {"index": index, "content": content} if index else {"content": content}
        calls, extra, logprobs = delta.get("tool_calls") or None, other_fields(delta), read_logprobs(choice)
        for call in calls or ():
            self._merge_call(call)
        if extra:
            _merge(self.extra, extra)
        if logprobs:
            self.logprobs = _merge(self.logprobs or {}, logprobs)
        if content or calls or extra or logprobs:
            return chat_delta(index, content, calls, logprobs, extra)
        return {}

    def fields(self) -> Json:
        """The fields of a `Choice`."""
        calls = [self.tool_calls[index] for index in sorted(self.tool_calls)]
        return {
            "content": "".join(self.pieces),
            "tool_calls": calls or None,
            "finish_reason": self.reason,
            "logprobs": self.logprobs,
            "extra": self.extra,
        }

    def _merge_call(self, piece: Json) -> None:
        """A call comes in pieces with the same index: its id and name once, its arguments bit by bit.

        Not all engines number them: then one begins with its id or its name. Callers are told the numbers in any case.
        """
        index, function = piece.get("index"), piece.get("function") or {}
        if index is None:
            begins = not self.tool_calls or piece.get("id") or function.get("name")
            index = piece["index"] = len(self.tool_calls) - (0 if begins else 1)
        if not isinstance(index, int):
            raise TypeError("a call is numbered")
        call = self.tool_calls.setdefault(index, {"type": "function", "function": {"name": "", "arguments": ""}})
        if piece.get("id"):
            call["id"] = piece["id"]
        for name in ("name", "arguments"):
            call["function"][name] += function.get(name) or ""


class StreamedAnswer:
    """Puts a streamed answer of so many `choices` together.

    It has `ended` once the engine has said of each why it stopped; it is `done` when nothing can follow.
    """

    def __init__(self, choices: int = 1) -> None:
        self.done = False
        self.usage = read_usage(None)
        self._asked = choices
        self._id = ""
        self._parts: dict[int, _Part] = {}

    @property
    def ended(self) -> bool:
        return self.done or sum(part.finished for part in self._parts.values()) >= self._asked

    def take(self, payload: bytes) -> list[ChatDelta]:
        """One frame; what it adds for the caller. Raises when it is an error or makes no sense."""
        deltas: list[ChatDelta] = []
        if payload == DONE:
            self.done = True
            return deltas
        frame = read_object(payload)
        if frame.get("error"):
            raise _error_in_stream(frame)
        if not self._id:
            self._id = answer_id(frame)
        if usage := frame.get("usage"):
            self.usage = read_usage(usage)
        try:
            for choice in frame.get("choices") or ():
                index = choice.get("index", 0)
                part = self._parts.get(index) or self._begin(index)
                if delta := part.take(index, choice):
                    deltas.append(delta)
            return deltas
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise invalid_answer("has a frame that is no completion chunk") from error

    def whole(self) -> Answer:
        first, *others = [self._parts[index].fields() for index in sorted(self._parts)] or [_Part().fields()]
        return Answer(id=self._id, usage=self.usage, others=tuple(Choice(**choice) for choice in others), **first)

    def _begin(self, index: object) -> _Part:
        if not isinstance(index, int) or not 0 <= index < _MOST_CHOICES:
            raise TypeError("a choice is numbered from 0")
        part = self._parts[index] = _Part()
        return part


def _merge(whole: Json, piece: Json) -> Json:
    """Texts and lists grow by their pieces; of anything else the newest holds."""
    for name, value in piece.items():
        known = whole.get(name)
        grows = isinstance(value, str | list) and type(known) is type(value)
        whole[name] = cast(Any, known) + value if grows else value
    return whole


def _error_in_stream(frame: Json) -> EngineFailure:
    message, code = error_fields(frame)
    status = frame["error"].get("code") if isinstance(frame["error"], dict) else None
    return failure_of(status if isinstance(status, int) else 500, message, code)
