"""An engine that speaks OpenAI's HTTP API, with vLLM's calls for adapters."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import orjson

from common.telemetry import inject
from contracts.router import Chat
from llm_router.domain.engines import Answer, Delta, EngineSpec, ModelCard
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine.addresses import PublicResolver
from llm_router.engine.openai_wire import (
    EventLines,
    StreamedAnswer,
    chat_body,
    invalid_answer,
    read_answer,
    read_error,
    read_models,
    retry_after_seconds,
)
from llm_router.engine.protocol import Timeouts

_LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_ERROR = 64 * 1024
_READ_BUFFER = 256 * 1024
_LAST_BYTES_SECONDS = 0.5


class OpenAIEngine:
    """A client with a connection pool of its own. Made inside the event loop, ended by `close`."""

    def __init__(self, spec: EngineSpec, timeouts: Timeouts) -> None:
        self._base = spec.api_base
        self._timeouts = timeouts
        headers = {"Content-Type": "application/json"}
        if spec.token is not None:
            headers["Authorization"] = f"Bearer {spec.token}"
        self._session = aiohttp.ClientSession(
            # The pool itself is not bounded: routing bounds what an engine has outstanding.
            connector=aiohttp.TCPConnector(limit=0, resolver=PublicResolver() if spec.guarded else None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            read_bufsize=_READ_BUFFER,
        )

    async def close(self) -> None:
        await self._session.close()

    async def complete(self, chat: Chat, model: str) -> Answer:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect)
        body = chat_body(chat, model, stream=False)
        async with self._post("/chat/completions", body, limits) as response:
            return read_answer(await _bounded(response, _LARGEST_ANSWER))

    async def stream(self, chat: Chat, model: str) -> AsyncGenerator[Delta | Answer, None]:
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.silence
        )
        body = chat_body(chat, model, stream=True)
        lines, answer = EventLines(), StreamedAnswer()
        async with self._post("/chat/completions", body, limits) as response:
            async for data in response.content.iter_any():
                for payload in lines.feed(data):
                    if (delta := answer.take(payload)) is not None:
                        yield delta
                if answer.done:
                    await _to_its_end(response)
                    break
        if not answer.ended:
            raise EngineFailure(FailureKind.CONNECTION, "The engine broke off in the middle of its answer")
        yield answer.whole()

    async def models(self) -> list[ModelCard]:
        async with self._call("GET", "/models", None, self._total(self._timeouts.check)) as response:
            return read_models(await _bounded(response, _LARGEST_ANSWER))

    async def load_adapter(self, name: str, path: Path, base_model: str) -> None:
        body = orjson.dumps({"lora_name": name, "lora_path": str(path), "base_model_name": base_model})
        try:
            async with self._post("/load_lora_adapter", body, self._total(self._timeouts.load)):
                return
        except EngineFailure as failure:
            if "already" in failure.message:
                return
            if failure.kind in (FailureKind.INVALID_REQUEST, FailureKind.MODEL_NOT_FOUND, FailureKind.INVALID_ANSWER):
                raise EngineFailure(FailureKind.MODEL_LOAD, f"{name} could not be loaded. {failure.message}") from None
            raise

    async def unload_adapter(self, name: str) -> None:
        body = orjson.dumps({"lora_name": name})
        try:
            async with self._post("/unload_lora_adapter", body, self._total(self._timeouts.load)):
                return
        except EngineFailure as failure:
            # A 404 of vLLM's names the adapter and no model.
            if failure.kind not in (FailureKind.MODEL_NOT_FOUND, FailureKind.INVALID_ANSWER):
                raise

    def _total(self, seconds: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=seconds, sock_connect=self._timeouts.connect)

    @asynccontextmanager
    async def _post(
        self, path: str, body: bytes, timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._call("POST", path, body, timeout) as response:
            yield response

    @asynccontextmanager
    async def _call(
        self, method: str, path: str, body: bytes | None, timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful response. Whatever ends the block early closes the connection, which the engine notices."""
        with _failures():
            response = await self._session.request(
                method,
                self._base + path,
                data=body,
                timeout=timeout,
                headers=inject({}),
                # A redirect could lead to an address that nobody has checked.
                allow_redirects=False,
            )
            try:
                if response.status != 200:
                    retry_after = retry_after_seconds(response.headers.get("Retry-After"))
                    raise read_error(response.status, await response.content.read(_LARGEST_ERROR), retry_after)
                yield response
            finally:
                # A no-op when the body was read to its end: the connection then is in the pool again already.
                response.close()


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    if (response.content_length or 0) > limit:
        raise invalid_answer("is too large")
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise invalid_answer("is too large")
        parts.append(part)
    return b"".join(parts)


async def _to_its_end(response: aiohttp.ClientResponse) -> None:
    """Reads the end of a body that is complete in all but name, so that its connection can be used again."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_LAST_BYTES_SECONDS):
            await response.content.readany()


@contextmanager
def _failures() -> Iterator[None]:
    """Says what a failure of the HTTP client means."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise EngineFailure(FailureKind.CONNECTION, "The engine did not accept a connection in time") from error
    except (TimeoutError, aiohttp.ServerTimeoutError) as error:
        raise EngineFailure(FailureKind.TIMEOUT, "The engine did not answer in time") from error
    except aiohttp.ClientPayloadError as error:
        raise EngineFailure(FailureKind.CONNECTION, "The engine broke off in the middle of its answer") from error
    except aiohttp.ClientConnectorError as error:
        raise EngineFailure(FailureKind.CONNECTION, "The engine could not be reached") from error
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise EngineFailure(FailureKind.CONNECTION, "The engine closed the connection") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise EngineFailure(FailureKind.INVALID_ANSWER, "The engine did not speak proper HTTP") from error
