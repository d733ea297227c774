"""The platform's public REST API, as far as the demo needs it. Knows nothing but a base URL and a key."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

Json = dict[str, Any]


class ApiError(Exception):
    """The platform refused a request: its status and its words."""


class Api:
    """A session with the gateway at `url`."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._key = key

    async def __aenter__(self) -> "Api":
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str) -> Json:
        async with self._session.get(self.url + path) as response:
            return await _json(response)

    async def get_text(self, path: str) -> str:
        async with self._session.get(self.url + path) as response:
            if response.status >= 400:
                raise await _error(response)
            return await response.text()

    async def post(self, path: str, body: Json) -> Json:
        async with self._session.post(self.url + path, json=body) as response:
            return await _json(response)

    async def upload(self, path: str, file: Path) -> Json:
        """Sends a file as multipart form data, read from disk as it goes out."""
        with file.open("rb") as reader:
            form = aiohttp.FormData()
            form.add_field("file", reader, filename=file.name, content_type="text/csv")
            async with self._session.post(self.url + path, data=form) as response:
                return await _json(response)

    async def download(self, path: str, into: Path) -> int:
        """Writes the body to `into` as it arrives; its size in bytes."""
        async with self._session.get(self.url + path) as response:
            if response.status >= 400:
                raise await _error(response)
            size = 0
            into.parent.mkdir(parents=True, exist_ok=True)
            with into.open("wb") as writer:
                async for chunk in response.content.iter_chunked(1 << 16):
                    size += writer.write(chunk)
            return size

    async def events(self, path: str, *, after: str | None = None) -> AsyncIterator[tuple[str | None, str, str]]:
        """Server-sent events as `(id, event, data)`, until the server ends the stream or the connection breaks."""
        headers = {"Last-Event-ID": after} if after else {}
        async with self._session.get(self.url + path, headers=headers) as response:
            if response.status >= 400:
                raise await _error(response)
            async for event in _parse_events(response.content):
                yield event

    async def chat(self, body: Json) -> AsyncIterator[str]:
        """The text of a streamed chat completion, piece by piece."""
        async with self._session.post(self.url + "/v1/chat/completions", json=body | {"stream": True}) as response:
            if response.status >= 400:
                raise await _error(response)
            async for _, _, data in _parse_events(response.content):
                if data == "[DONE]":
                    return
                chunk = json.loads(data)
                if "error" in chunk:
                    raise ApiError(chunk["error"]["message"])
                for choice in chunk["choices"]:
                    if text := choice["delta"].get("content"):
                        yield text
        raise ApiError("the stream broke off before its end")


async def _parse_events(content: aiohttp.StreamReader) -> AsyncIterator[tuple[str | None, str, str]]:
    identifier: str | None = None
    event, data = "message", list[str]()
    async for raw in content:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if data:
                yield identifier, event, "\n".join(data)
            event, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            identifier = value
        elif field == "event":
            event = value
        elif field == "data":
            data.append(value)


async def _json(response: aiohttp.ClientResponse) -> Json:
    if response.status >= 400:
        raise await _error(response)
    body: Json = await response.json()
    return body


async def _error(response: aiohttp.ClientResponse) -> ApiError:
    return ApiError(f"{response.method} {response.url.path} answered {response.status}: {await response.text()}")
