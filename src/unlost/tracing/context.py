"""Places in traces: from headers, and from and to what a task carries.

They are W3C's `traceparent` and `tracestate`.  What is not well formed counts as not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from unlost import carried
from unlost.tracing import Headers

LONGEST: Final = 512
"""Characters of a header beyond which it is not looked at; the SDK would log a warning of it."""

_w3c = TraceContextTextMapPropagator()


def of_request(headers: Headers) -> Context:
    """Where a caller's span is; an empty context without one."""
    parents: list[str] = []
    states: list[str] = []
    for name, value in headers:
        if name == b"traceparent":
            parents.append(value.decode("latin-1"))
        elif name == b"tracestate":
            states.append(value.decode("latin-1"))
    if len(parents) != 1:
        return Context()
    return _context(parents[0], ",".join(states))


def _context(parent: str, state: str | None) -> Context:
    if len(parent) > LONGEST:
        return Context()
    headers = {"traceparent": parent}
    if state and len(state) <= LONGEST:
        headers["tracestate"] = state
    return _w3c.extract(headers, Context())


def carrying(span: Span, text: str | None, *, batch: bool) -> str | None:
    """What a task carries, with the span of its submit."""
    headers: dict[str, str] = {}
    _w3c.inject(headers, set_span_in_context(span, Context()))
    if not headers:
        return text
    with_span = replace(
        carried.read(text),
        traceparent=headers["traceparent"],
        tracestate=headers.get("tracestate"),
        batch=batch,
    )
    return carried.write(with_span)


def of_task(text: str | None) -> tuple[Context, Sequence[Link]]:
    """The parent and the links of a span that follows from a task's submit.

    It is always linked to the submit.  It is its child too if the task was submitted by itself;
    a batch's tasks begin traces of their own, since one with thousands of tasks helps nobody.
    """
    known = carried.read(text)
    if known.traceparent is None:
        return Context(), ()
    context = _context(known.traceparent, known.tracestate)
    submit = get_current_span(context).get_span_context()
    if not submit.is_valid:
        return Context(), ()
    return Context() if known.batch else context, (Link(submit),)
