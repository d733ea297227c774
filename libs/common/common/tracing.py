"""Traces: OpenTelemetry's spans where a trace is recorded; where it is not, W3C headers that travel on as they came.

Every request belongs to a trace, so that the logs of all services can be joined. Of most nothing is recorded, and
those make no object: spans that nobody will see cost more than all else that the bus does for a question.
"""

import os
import random
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar, Token
from types import TracebackType

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import Span, SpanKind

__all__ = ["SpanKind", "begin_span", "configure_tracing", "hop", "inject", "shutdown_tracing", "trace_ids", "tracer"]

_PARENT = "traceparent"
_STATE = "tracestate"
_SENT = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})")
_TRACER = trace.get_tracer("llm_platform")
_UNRECORDED: ContextVar[Mapping[str, str] | None] = ContextVar("unrecorded", default=None)
"""The headers of the current trace, if it is one that is not recorded."""

_ratio = 0.0
"""Share of the traces that begin here which are recorded."""


def configure_tracing(service: str, ratio: float = 1.0) -> None:
    """Exports spans over OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` says: those of `ratio` of all traces.

    Whoever begins a trace decides for all services whether it is recorded.
    """
    global _ratio  # noqa: PLW0603 - as OpenTelemetry's own provider: once per process
    exporting = "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ or "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in os.environ
    sampler = ParentBased(ALWAYS_ON) if exporting else ALWAYS_OFF
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}), sampler=sampler)
    if exporting:
        _ratio = ratio
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)


def shutdown_tracing() -> None:
    """Sends what is still buffered."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        with suppress(Exception):
            provider.shutdown()


def tracer() -> trace.Tracer:
    """Starts spans whether or not their trace is recorded elsewhere: `hop` and `begin_span` are for requests."""
    return _TRACER


def hop(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    headers: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
) -> AbstractContextManager[Span]:
    """A span around one hop of a request, in the trace that `headers` carry, or in the current one, or in a new one.

    In a trace that is not recorded it only carries the trace on.
    """
    if headers is None and _UNRECORDED.get() is not None:
        return _NO_HOP
    return _Hop(name, kind, headers, attributes)


_NO_HOP = nullcontext(trace.INVALID_SPAN)


class _Hop(AbstractContextManager[Span]):
    def __init__(
        self, name: str, kind: SpanKind, headers: Mapping[str, str] | None, attributes: Mapping[str, str] | None
    ) -> None:
        self._unrecorded = _unrecorded(headers)
        self._recording: AbstractContextManager[Span] | None = None
        if self._unrecorded is None:
            parent = propagate.extract(headers) if headers is not None else None
            self._recording = _TRACER.start_as_current_span(name, context=parent, kind=kind, attributes=attributes)

    def __enter__(self) -> Span:
        self._token: Token[Mapping[str, str] | None] = _UNRECORDED.set(self._unrecorded)
        return trace.INVALID_SPAN if self._recording is None else self._recording.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._recording is not None:
            self._recording.__exit__(kind, error, traceback)
        _UNRECORDED.reset(self._token)


def begin_span(name: str, kind: SpanKind) -> Span:
    """A span in the current trace that its caller ends, and makes the current one where it is; see `is_recording`."""
    return _TRACER.start_span(name, kind=kind) if _unrecorded(None) is None else trace.INVALID_SPAN


def inject(headers: dict[str, str]) -> dict[str, str]:
    """Adds the W3C trace context of the current trace to `headers`, and returns them."""
    unrecorded = _UNRECORDED.get()
    if unrecorded is not None:
        headers.update(unrecorded)
    else:
        propagate.inject(headers)
    return headers


def trace_ids() -> tuple[str, str] | None:
    """Ids of the current trace and span in hexadecimal, as logs and records name them."""
    unrecorded = _UNRECORDED.get()
    if unrecorded is not None:
        _, trace_id, span_id, _ = unrecorded[_PARENT].split("-")
        return trace_id, span_id
    current = trace.get_current_span().get_span_context()
    if not current.is_valid:
        return None
    return trace.format_trace_id(current.trace_id), trace.format_span_id(current.span_id)


def _unrecorded(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """The headers that the trace travels in, if it is not recorded: that of `headers`, the current or a new one."""
    if headers is not None:
        sent = headers.get(_PARENT)
        if sent is not None and (match := _SENT.fullmatch(sent)) is not None:
            return None if _is_sampled(match[3]) else _kept(sent, headers.get(_STATE))
    elif (known := _UNRECORDED.get()) is not None:
        return known
    elif trace.get_current_span().get_span_context().is_valid:
        sent_on: dict[str, str] = {}
        propagate.inject(sent_on)
        return None if _is_sampled(sent_on[_PARENT][-2:]) else sent_on
    if random.random() < _ratio:  # noqa: S311 - no secret
        return None
    return {_PARENT: f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00"}


def _is_sampled(flags: str) -> bool:
    return bool(int(flags, 16) & trace.TraceFlags.SAMPLED)


def _kept(parent: str, state: str | None) -> Mapping[str, str]:
    """What travels on: a state that is no ASCII is none, and could not be sent."""
    return {_PARENT: parent} if state is None or not state.isascii() else {_PARENT: parent, _STATE: state}
