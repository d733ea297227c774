"""Callers of the public API who keep account: what each of them heard, and what the platform has recorded of it."""

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.caller import Caller

Json = dict[str, Any]

_PATIENCE = 30.0
"""Seconds after which a caller who has heard neither an answer nor an error counts as forgotten."""
_SETTLING = 60.0
"""Seconds in which records have to catch up with calls: a batch that died with its router comes again after ten."""


@dataclass(frozen=True)
class Heard:
    """What the caller who asked `content` heard: a `whole` answer, or an `error`, perhaps after a part of one."""

    content: str
    status: int
    text: str = ""
    whole: bool = False
    error: Json | None = None


@dataclass
class Call:
    """A call on its way. `begun` is set with the first piece of a stream."""

    content: str
    begun: asyncio.Event
    _task: "asyncio.Task[Heard]"

    async def heard(self) -> Heard:
        """Raises TimeoutError for a caller who was forgotten."""
        return await self._task


class Callers(Caller):
    """Asks over REST, each call with words of its own, so that every record belongs to one call."""

    def begin(self, model: str, *, stream: bool = False) -> Call:
        """Begins a call."""
        content, begun = f"Hello {uuid.uuid4().hex}", asyncio.Event()
        body = {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream}
        return Call(content, begun, asyncio.create_task(self._hear(content, body, begun)))

    async def ask(self, model: str, *, stream: bool = False) -> Heard:
        return await self.begin(model, stream=stream).heard()

    async def recorded(self, model: str) -> list[Json]:
        """The interactions with a model, page by page."""
        items: list[Json] = []
        params = {"model": model, "limit": "100"}
        while True:
            page = await self.patiently("GET", "/api/v1/llm/interactions", params=params)
            items += page["items"]
            if not page["has_more"]:
                return items
            params["cursor"] = page["next_cursor"]

    async def records(self, model: str, count: int = 1) -> list[Json]:
        """The interactions with a model once there are so many. Raises TimeoutError."""
        async with asyncio.timeout(_SETTLING):
            while len(kept := await self.recorded(model)) < count:  # noqa: ASYNC110 - nothing tells a caller when
                await asyncio.sleep(0.1)
        return kept

    async def accounts_hold(self, model: str, heard: Sequence[Heard], *, unheard: bool = False) -> list[Json]:
        """Returns the records once every answer has one, and fails if one is missing, made up or there twice.

        Every other call must be recorded as failed; but with `unheard` answers it may have been lost on its way: then
        it is recorded as completed, or not at all.
        """
        whole = {one.content for one in heard if one.whole}
        asked = {one.content for one in heard}
        wanted = len(whole) if unheard else len(asked)
        deadline = time.monotonic() + _SETTLING
        while True:
            kept = await self.recorded(model)
            completed = {item["input_text"] for item in kept if item["status"] == "completed"}
            if (completed >= whole and len(kept) >= wanted) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        contents = [item["input_text"] for item in kept]
        assert len(set(contents)) == len(contents), "a call is recorded twice"
        assert set(contents) <= asked, "a call is recorded that nobody made"
        assert completed >= whole, "an answer is not recorded"
        if not unheard:
            assert completed == whole, "a failed call is recorded as an answer"
            assert set(contents) == asked, "a failed call is not recorded"
        return kept

    async def _hear(self, content: str, body: Json, begun: asyncio.Event) -> Heard:
        async with (
            asyncio.timeout(_PATIENCE),
            self._session.post(f"{self.url}/v1/chat/completions", json=body) as response,
        ):
            if response.status != 200:
                refused: Json = await response.json()
                return Heard(content, response.status, error=refused["error"])
            if not body["stream"]:
                whole: Json = await response.json()
                return Heard(content, 200, whole["choices"][0]["message"]["content"], whole=True)
            return await _hear_stream(content, response.content, begun)


async def _hear_stream(content: str, lines: Any, begun: asyncio.Event) -> Heard:
    """A stream ends with its mark or tells of an error: one that just ends raises AssertionError."""
    text = ""
    async for line in lines:
        if not line.startswith(b"data: "):
            continue
        data = line[len(b"data: ") :].strip()
        if data == b"[DONE]":
            return Heard(content, 200, text, whole=True)
        frame = json.loads(data)
        if "error" in frame:
            return Heard(content, 200, text, error=frame["error"])
        for choice in frame["choices"]:
            text += choice["delta"].get("content") or ""
        if text:
            begun.set()
    raise AssertionError(f"the stream ended without a word, after {text!r}")
