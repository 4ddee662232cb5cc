"""Tracing by OpenTelemetry: the spans of attempts and settlements, and the way to the collector."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, set_span_in_context, use_span

from unlost.ledger.values import Claimed, Held, Settlement, Submitted
from unlost.task import SECOND, Event, Outcome, Submission
from unlost.telemetry.logs import Log
from unlost.tracing import Headers, Tracing, names
from unlost.tracing.context import carrying, of_task
from unlost.tracing.submits import submitting, under_way

UNNAMED: Final = "unknown_service"
"""How the SDK calls a service to which nobody gave a name."""

SWITCH: Final = 0.0005
"""Seconds after which a thread that computes lets others go on."""

log = Log("unlost.tracing")


class Spans(Tracing):
    """Tells everything to `provider`; `flush` has what it still keeps sent, and may take long."""

    def __init__(
        self, provider: trace.TracerProvider, flush: Callable[[], object] = lambda: None
    ) -> None:
        self._tracer = provider.get_tracer("unlost", version("unlost"))
        self._flush = flush
        self._running: dict[str, tuple[Span, Claimed]] = {}  # by token, as below
        self._settling: dict[str, Span] = {}

    def submit(self, headers: Headers, *, batch: bool) -> AbstractContextManager[object]:
        return submitting(self._tracer, headers, batch=batch)

    def carry(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        submit = under_way()
        return submissions if submit is None else submit.carry(submissions)

    def stored(self, answers: Sequence[Submitted]) -> None:
        submit = under_way()
        if submit is not None:
            submit.stored(answers)

    @contextmanager
    def attempt(self, claimed: Claimed) -> Iterator[None]:
        parent, links = of_task(claimed.carried)
        said = names.attributes(names.PROCESS, claimed.type, claimed.task_id)
        said |= {names.ATTEMPT: claimed.number, names.REDRIVES: claimed.redrive_count}
        if claimed.due_at is not None:
            said[names.WAIT] = max(0, claimed.started_at - claimed.due_at) / SECOND
        span = self._tracer.start_span(
            names.name(names.PROCESS, claimed.type), parent, SpanKind.CONSUMER, said, links
        )
        self._running[claimed.token] = span, claimed
        with use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    def carry_on(self, token: str, text: str | None) -> str | None:
        if token not in self._running:
            return text
        span, _ = self._running[token]
        return carrying(span, text, batch=False)

    def dropped(self, token: str) -> None:
        if token in self._running:
            span, _ = self._running.pop(token)
            span.set_attribute(names.OUTCOME, "dropped")
            span.end()

    def ended(self, settlement: Settlement) -> None:
        if settlement.token not in self._running:
            return  # what a claim took whose answer was lost, and never ran
        span, claimed = self._running.pop(settlement.token)
        span.set_attribute(names.OUTCOME, settlement.outcome)
        _tell_error(span, settlement)
        span.end()
        self._settling[settlement.token] = self._tracer.start_span(
            names.name(names.SETTLE, claimed.type),
            set_span_in_context(span),
            SpanKind.CLIENT,
            names.attributes(names.SETTLE, claimed.type, claimed.task_id) | _said(settlement),
        )

    def settled(self, batch: Sequence[Settlement], held: Sequence[Settlement | None]) -> None:
        for settlement, done in zip(batch, held, strict=True):
            span = self._settling.pop(settlement.token, None)
            if span is not None:
                if done is None:
                    span.set_attribute(names.REFUSED, True)
                elif done is not settlement:
                    span.set_attributes(_said(done))
                span.end()

    def reaped(self, left: Held, settlement: Settlement) -> None:
        parent, links = of_task(left.carried)
        said = names.attributes(names.SETTLE, left.type, left.task_id) | _said(settlement)
        said[names.REAPED] = left.worker
        span = self._tracer.start_span(
            names.name(names.SETTLE, left.type), parent, SpanKind.CLIENT, said, links
        )
        _tell_error(span, settlement)
        span.end()

    def close(self, seconds: float) -> None:
        flushing = threading.Thread(target=self._flush, name="unlost-traces", daemon=True)
        flushing.start()
        flushing.join(seconds)
        if flushing.is_alive():
            log.warning("traces.unsent", extra={"seconds": seconds})


def _said(settlement: Settlement) -> names.Attributes:
    said: names.Attributes = {names.OUTCOME: settlement.outcome, names.EVENT: settlement.event}
    if settlement.event is Event.RETRY:
        said[names.RETRY_IN] = settlement.wait / SECOND
    if settlement.excused:
        said[names.EXCUSED] = True
    return said


def _tell_error(span: Span, settlement: Settlement) -> None:
    if settlement.error is not None and settlement.outcome is not Outcome.SUCCEEDED:
        names.fail(span, settlement.error.type)


def exporting(role: str) -> Spans:
    """Spans that go where this process's others go already, else by OTLP over HTTP as the
    variables `OTEL_…` say; then also those of handlers do.  Raises ValueError for such a variable.
    """
    known = trace.get_tracer_provider()
    if not isinstance(known, trace.ProxyTracerProvider):
        return Spans(known, getattr(known, "force_flush", lambda: None))
    # It would write into the log what any client sends as tracestate.
    logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)
    provider = TracerProvider(resource=_resource(role), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # Its thread computes what is sent; the event loop waits so long for it at each step.
    sys.setswitchinterval(SWITCH)
    return Spans(provider, provider.shutdown)


def _resource(role: str) -> Resource:
    here = Resource(
        {SERVICE_VERSION: version("unlost"), "process.pid": os.getpid(), "unlost.role": role}
    )
    found = here.merge(Resource.create())
    if str(found.attributes[SERVICE_NAME]).startswith(UNNAMED):
        return found.merge(Resource({SERVICE_NAME: "unlost"}))
    return found
