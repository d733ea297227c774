"""The HTTP server, whose connections answer in our forms where aiohttp would in plain text of its own.

It is made of the parts of aiohttp's own, in its pinned version: there is no setting for this.
"""

from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from gateway.edge.headers import ALWAYS
from gateway.edge.responses import refused
from gateway.routes.table import family_of

_log = get_logger("http")


class Runner(web.AppRunner):
    """As aiohttp's, with connections of our own."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        usual: Any = await super()._make_server()
        options = {"request_factory": usual.request_factory, "handler_cancellation": usual.handler_cancellation}
        return _Server(usual.request_handler, loop=usual._loop, **options, **usual._kwargs)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What came is no HTTP, or nobody caught a crash. The connection ends with the answer."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and isinstance(exc, HttpProcessingError):
            # Told, and not logged: anybody could fill the log.
            wrong = "has a head that is too long" if isinstance(exc, LineTooLong) else "is not HTTP as it should be"
            refusal = Refused(RefusalCode.INVALID, f"The request {wrong}")
        else:
            _log.error("request_not_answered", exc_info=exc)
            refusal = Refused(RefusalCode.INTERNAL, "An internal error occurred; it has been logged")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        response = refused(refusal, family_of(request.path, request.method))
        response.headers.update(ALWAYS)
        response.force_close()
        return response
