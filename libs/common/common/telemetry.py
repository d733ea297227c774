"""Logs (structlog, JSON, with trace ids) and metrics (Prometheus), set up once per process."""

import logging
import sys
from bisect import bisect_left
from collections.abc import MutableMapping
from typing import Any

import orjson
import prometheus_client
import structlog

from common.context import current
from common.tracing import trace_ids

__all__ = ["SECONDS", "Counter", "Gauge", "Histogram", "configure_logging", "get_logger"]

# When each series began is told by nobody, and would be a third of all series.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Buckets for durations, from a bus hop to the longest completion."""


class Counter(prometheus_client.Counter):
    """The library's, without its checks of every single count: with them each costs three times as much."""

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        self._value.inc(amount)


class Gauge(prometheus_client.Gauge):
    """The library's, without its checks of every single step."""

    def inc(self, amount: float = 1) -> None:
        self._value.inc(amount)

    def dec(self, amount: float = 1) -> None:
        self._value.inc(-amount)


class Histogram(prometheus_client.Histogram):
    """The library's, without its checks of every single value, nor its walk along the buckets."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)


def configure_logging(service: str, level: str = "INFO") -> None:
    """Sends structlog and the standard library's loggers to standard output, one JSON object a line."""

    def add_service(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        add_service,
        _add_call,
        _add_trace_ids,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_dumps),
            ],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def _dumps(value: object, **_: object) -> str:
    return orjson.dumps(value, default=repr).decode()


def _add_call(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Read when something is logged: to bind it for every call would cost each of them as much as its answer."""
    call = current()
    if call.request_id is not None:
        event.setdefault("request_id", call.request_id)
    if call.subject is not None:
        event.setdefault("subject", call.subject)
    return event


def _add_trace_ids(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (ids := trace_ids()) is not None:
        event["trace_id"], event["span_id"] = ids
    return event


def get_logger(name: str = "") -> structlog.typing.FilteringBoundLogger:
    """A logger; `name` says which part of the service speaks."""
    # Initial values, unlike `bind`, leave the logger lazy: made at import, configured when it first speaks.
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(**({"component": name} if name else {}))
    return logger
