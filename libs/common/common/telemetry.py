"""Logs (structlog, JSON, with trace ids), traces (OpenTelemetry) and metrics (Prometheus), set up once per process."""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager, suppress
from contextvars import Token
from types import TracebackType
from typing import Any

import orjson
import structlog
from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from prometheus_client import Counter, Gauge, Histogram

from common.context import current

__all__ = [
    "Counter",
    "Gauge",
    "Histogram",
    "configure_logging",
    "configure_tracing",
    "extracted",
    "get_logger",
    "hop",
    "inject",
    "shutdown_tracing",
    "tracer",
]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Buckets for durations, from a bus hop to a long completion."""


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
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event


def get_logger(name: str = "") -> structlog.typing.FilteringBoundLogger:
    """A logger; `name` says which part of the service speaks."""
    # Initial values, unlike `bind`, leave the logger lazy: made at import, configured when it first speaks.
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(**({"component": name} if name else {}))
    return logger


def configure_tracing(service: str, ratio: float = 1.0) -> None:
    """Exports spans over OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` says.

    Without it nothing is recorded, yet every request has a trace id, so that the logs of all services can be joined.
    """
    exporting = "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ or "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in os.environ
    sampler = ParentBased(TraceIdRatioBased(ratio)) if exporting else ALWAYS_OFF
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}), sampler=sampler)
    if exporting:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)


def shutdown_tracing() -> None:
    """Sends what is still buffered."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        with suppress(Exception):
            provider.shutdown()


_TRACER = trace.get_tracer("llm_platform")


def tracer() -> trace.Tracer:
    """Starts spans, recorded as `configure_tracing` says."""
    return _TRACER


class hop:  # noqa: N801 - reads as the statement that it is
    """A span of one hop over the bus, under `parent` or the current span.

    In a trace that is not recorded the hop only carries the trace on: a span that nobody will see costs more than
    the hop itself.
    """

    def __init__(
        self,
        name: str,
        kind: trace.SpanKind,
        *,
        parent: context.Context | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        above = trace.get_current_span(parent)
        self._token: Token[context.Context] | None = None
        self._recording: AbstractContextManager[trace.Span] | None = None
        if _is_unrecorded(above.get_span_context()):
            self._span = above
            self._parent = parent
        else:
            self._recording = _TRACER.start_as_current_span(name, context=parent, kind=kind, attributes=attributes)

    def __enter__(self) -> trace.Span:
        if self._recording is not None:
            return self._recording.__enter__()
        if self._parent is not None:
            self._token = context.attach(self._parent)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._recording is not None:
            self._recording.__exit__(kind, error, traceback)
        elif self._token is not None:
            context.detach(self._token)


def _is_unrecorded(above: trace.SpanContext) -> bool:
    return above.is_valid and not above.trace_flags.sampled


def inject(headers: dict[str, str]) -> dict[str, str]:
    """Adds the W3C trace context of the current span to `headers`, and returns them."""
    propagate.inject(headers)
    return headers


def extracted(headers: Mapping[str, str]) -> context.Context:
    """The trace context that `headers` carry, to start a span under."""
    return propagate.extract(headers)
