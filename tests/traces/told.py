"""What was told in spans, kept in memory; and a caller of the API who traces, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from unlost.api.app import create_app
from unlost.ledger.protocol import Ledger
from unlost.settings import Settings
from unlost.tracing.otel import Spans

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
SPAN = 0xB7AD6B7169203331


class Told:
    """Tracing that ends in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Spans(self.provider)
        self.tracer = self.provider.get_tracer("test")

    def all(self, operation: str) -> list[ReadableSpan]:
        """The spans whose name begins so, in the order of their ends."""
        spans = self._exporter.get_finished_spans()
        return [span for span in spans if span.name.split(" ")[0] == operation]

    def one(self, operation: str) -> ReadableSpan:
        [span] = self.all(operation)
        return span

    def everything(self) -> str:
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())

    @contextmanager
    def caller(self) -> Iterator[dict[str, str]]:
        """A span of the caller's, and the headers that its requests have."""
        headers: dict[str, str] = {}
        with self.tracer.start_as_current_span("call"):
            TraceContextTextMapPropagator().inject(headers)
            yield headers

    @asynccontextmanager
    async def api(self, ledger: Ledger) -> AsyncIterator[httpx.AsyncClient]:
        """Calls the app over this ledger, no socket between."""
        app = create_app(ledger, Settings(), tracing=self.tracing)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


def where(span: ReadableSpan) -> SpanContext:
    """The place of a span that surely has one."""
    context = span.get_span_context()
    assert context is not None
    return context


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


def said(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def failed(span: ReadableSpan) -> bool:
    """Whether the span is an error; then it says nothing but so."""
    assert span.status.description is None
    assert not span.events
    return span.status.status_code is StatusCode.ERROR
