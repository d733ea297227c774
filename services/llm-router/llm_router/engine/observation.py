"""Watches one completion from the request to its end: span, metrics and the interaction that is kept."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType

from opentelemetry import trace
from opentelemetry.trace import StatusCode

from common.context import current
from common.identifiers import new_id
from common.tracing import SpanKind, begin_span, trace_ids
from contracts.base import Refused
from contracts.router import CountedBy, Usage
from llm_router.domain.catalogue import Route
from llm_router.domain.counting import usage_by_length
from llm_router.domain.engines import Answer, Asked
from llm_router.domain.interactions import Outcome, Status, interaction, output_text
from llm_router.engine import conventions, metrics
from llm_router.engine.budgets import Reservation
from llm_router.engine.pool import Lease
from llm_router.engine.protocol import Pieces
from llm_router.engine.recorder import Recorder


class Observation:
    """A context around one completion. What leaves the block decides the outcome: nothing, a failure, or a cancel.

    The span is not the current one for the whole block, which a generator leaves and enters again: see `calling`.
    """

    def __init__(self, asked: Asked, recorder: Recorder) -> None:
        self._request = asked
        self._recorder = recorder
        self._created_at = datetime.now(UTC)
        self._started = time.perf_counter()
        self._asked = self._started
        self._route: Route | None = None
        self._reservation: Reservation | None = None
        self._engine: str | None = None
        self._answer: Answer | None = None
        self._usage: Usage | None = None
        self._counted_by: CountedBy | None = None
        self._cost: Decimal | None = None
        self._price: Callable[[Usage], Decimal | None] = lambda _: None
        self._pieces: list[str] = []
        self.time_to_first_token: float | None = None
        self._span = begin_span(f"{conventions.operation(asked)} {asked.model}", SpanKind.CLIENT)
        self._is_traced = self._span.is_recording()
        if self._is_traced:
            self._span.set_attributes(conventions.request_attributes(asked))

    @property
    def _model(self) -> str:
        """The label of the model."""
        return self._route.name if self._route is not None else metrics.UNKNOWN

    @property
    def created(self) -> int:
        """Unix seconds."""
        return int(self._created_at.timestamp())

    @property
    def seconds(self) -> float:
        """How long the engine has been at it."""
        return time.perf_counter() - self._asked

    def calling(self) -> AbstractContextManager[trace.Span]:
        """Makes the span the current one, so that the engine is told of it."""
        if not self._is_traced:
            return nullcontext(self._span)
        return trace.use_span(self._span, record_exception=False, set_status_on_exception=False)

    def routed(self, route: Route) -> None:
        self._route = route

    def reserved(self, reservation: Reservation | None) -> None:
        """What the completion may cost at most, which its end settles, whatever that is."""
        self._reservation = reservation

    def asking(self, lease: Lease, price: Callable[[Usage], Decimal | None]) -> None:
        """An attempt begins; `price` is what it would cost, in USD."""
        self._price = price
        self._engine = lease.name
        self._asked = time.perf_counter()
        if self._is_traced:
            self._span.set_attributes(conventions.engine_attributes(lease.member.spec.provider_type, lease.name))

    def retrying(self, failure: Refused) -> None:
        kind = str(failure.metadata.get("type", failure.code))
        metrics.RETRIES.labels(self._engine or metrics.UNKNOWN, kind).inc()
        self._span.add_event("retry", {conventions.ERROR_TYPE: kind})

    def pieces(self, pieces: Pieces) -> None:
        """A part of the answer goes to the caller."""
        if self.time_to_first_token is None:
            self.time_to_first_token = time.perf_counter() - self._started
        self._pieces += [piece.get("content", "") for piece in pieces]

    def falling_back(self, failure: Refused) -> None:
        """Another model is asked instead: nothing was spent on this one."""
        self._settle()
        self._reservation = None
        kind = str(failure.metadata.get("type", failure.code))
        metrics.FALLBACKS.labels(self._model, kind).inc()
        self._span.add_event("fallback", {conventions.ERROR_TYPE: kind})
        self._engine = None

    def answered(self, answer: Answer) -> Decimal | None:
        """Returns the cost in USD."""
        self._answer = answer
        self._use(answer.usage, answer.counted_by)
        return self._cost

    def _use(self, usage: Usage, counted_by: CountedBy) -> None:
        self._usage, self._counted_by, self._cost = usage, counted_by, self._price(usage)

    def __enter__(self) -> "Observation":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        status, reason, message = _outcome(error, answered=self._answer is not None)
        duration = time.perf_counter() - self._started
        output = output_text(self._answer) if self._answer is not None else "".join(self._pieces)
        if self._answer is None and (self._pieces or (status == "cancelled" and self._engine is not None)):
            # An engine that was asked and then left alone has read the input at least, and nobody hears how much.
            self._use(usage_by_length(self._request, output), "length")
        self._measure(reason, duration)
        self._settle()
        outcome = Outcome(
            status=status,
            model=self._route.name if self._route is not None else self._request.model,
            engine=self._engine,
            output=output,
            duration=duration,
            error=message,
            error_type=reason if status == "failed" else None,
            usage=self._usage,
            counted_by=self._counted_by,
            cost=self._cost,
            time_to_first_token=self.time_to_first_token,
        )
        principal, ids = current().principal, trace_ids()
        if self._is_traced:
            self._end_span(status, reason)
        self._recorder.record(
            interaction(
                self._request,
                outcome,
                interaction_id=new_id(),
                principal=principal.id if principal is not None else None,
                trace_id=ids[0] if ids is not None else None,
                created_at=self._created_at,
            )
        )

    def _settle(self) -> None:
        if self._reservation is not None:
            self._reservation.settle(self._engine, self._usage)

    def _measure(self, reason: str, duration: float) -> None:
        model, engine = self._model, self._engine or metrics.UNKNOWN
        meters = metrics.meters(model, engine)
        if reason == "completed":
            meters.completed.inc()
        else:
            metrics.COMPLETIONS.labels(model, engine, reason).inc()
        meters.seconds.observe(duration)
        if self.time_to_first_token is not None:
            meters.first_token_seconds.observe(self.time_to_first_token)
        if self._usage is not None:
            meters.input_tokens.inc(self._usage.prompt_tokens)
            meters.output_tokens.inc(self._usage.completion_tokens)
        if self._cost:
            metrics.COST.labels(model, engine).inc(float(self._cost))

    def _end_span(self, status: Status, reason: str) -> None:
        if self._answer is not None and self._route is not None:
            self._span.set_attributes(conventions.answer_attributes(self._answer, self._route.model))
        if status == "failed":
            self._span.set_attribute(conventions.ERROR_TYPE, reason)
            self._span.set_status(StatusCode.ERROR, reason)
        self._span.end()


def _outcome(error: BaseException | None, *, answered: bool) -> tuple[Status, str, str | None]:
    """Status, the label it is counted under, and the message that is kept."""
    if error is None or (answered and isinstance(error, GeneratorExit | asyncio.CancelledError)):
        return "completed", "completed", None
    if isinstance(error, Refused):
        return "failed", str(error.metadata.get("type", error.code.value)), error.message
    if isinstance(error, GeneratorExit | asyncio.CancelledError):
        return "cancelled", "cancelled", None
    return "failed", "crash", type(error).__name__
