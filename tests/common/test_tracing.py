"""Traces that are recorded, and those that only travel."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from common import tracing
from common.tracing import SpanKind, begin_span, hop, inject, trace_ids

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UNRECORDED = {"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "vendor=1"}
RECORDED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


@pytest.fixture
def provider() -> Iterator[None]:
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    yield


@pytest.fixture
def recording_all(monkeypatch: pytest.MonkeyPatch, provider: None) -> None:
    monkeypatch.setattr(tracing, "_ratio", 1.0)


def test_a_trace_that_is_not_recorded_travels_on_as_it_came() -> None:
    with hop("a", SpanKind.SERVER, headers=UNRECORDED) as span, hop("b", SpanKind.CLIENT):
        assert not span.is_recording()
        assert not begin_span("c", SpanKind.CLIENT).is_recording()
        assert inject({}) == UNRECORDED
        assert trace_ids() == (TRACE, SPAN)
    assert inject({}) == {}


def test_a_trace_that_is_recorded_goes_on_in_a_span_of_its_own(provider: None) -> None:
    with hop("a", SpanKind.SERVER, headers=UNRECORDED), hop("b", SpanKind.SERVER, headers=RECORDED) as span:
        assert span.is_recording()
        ids = trace_ids()
        assert ids is not None
        assert ids[0] == TRACE
        assert ids[1] != SPAN
        assert inject({})["traceparent"] == f"00-{TRACE}-{ids[1]}-01"


@pytest.mark.parametrize(
    "sent", ["", "nonsense", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}"]
)
def test_headers_that_carry_no_trace_begin_a_new_one(sent: str) -> None:
    with hop("a", SpanKind.SERVER, headers={"traceparent": sent}):
        ids = trace_ids()
        assert ids is not None
        assert ids[0] not in (TRACE, "0" * 32)
        assert inject({})["traceparent"] == f"00-{ids[0]}-{ids[1]}-00"


def test_whoever_begins_a_trace_decides_whether_it_is_recorded(recording_all: None) -> None:
    with hop("a", SpanKind.SERVER, headers={}) as span:
        assert span.is_recording()
        assert int(inject({})["traceparent"][-2:], 16) & trace.TraceFlags.SAMPLED
    with hop("a", SpanKind.SERVER, headers=UNRECORDED) as span:
        assert not span.is_recording()
