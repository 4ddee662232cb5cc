"""The span of a submit: it continues the caller's trace, and is what its tasks carry."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec.structs import replace
from opentelemetry.trace import Span, SpanKind, Tracer

from unlost.ledger.values import Submitted
from unlost.task import Submission
from unlost.tracing import Headers, names
from unlost.tracing.context import carrying, of_request


class Submit:
    """A submit under way.  Its span begins with the request, but is made only once there are
    tasks to store: what was refused before that was never sent."""

    def __init__(self, tracer: Tracer, headers: Headers, *, batch: bool) -> None:
        self._tracer = tracer
        self._headers = headers
        self._batch = batch
        self._began = time.time_ns()
        self._span: Span | None = None
        self._count = 0

    def carry(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        """The submissions, each carrying the span."""
        if not submissions:
            return submissions
        span = self._span = self._span or self._start(submissions[0])
        self._count += len(submissions)
        texts = {one.carried: "" for one in submissions}
        carried = {text: carrying(span, text, batch=self._batch) for text in texts}
        return [replace(one, carried=carried[one.carried]) for one in submissions]

    def _start(self, first: Submission) -> Span:
        destination, task_id = (None, None) if self._batch else (first.type, first.task_id)
        return self._tracer.start_span(
            names.name(names.SEND, destination),
            of_request(self._headers),
            SpanKind.PRODUCER,
            names.attributes(names.SEND, destination, task_id),
            start_time=self._began,
        )

    def stored(self, answers: Sequence[Submitted]) -> None:
        """Say what became of the task."""
        if self._span is not None and not self._batch:
            self._span.set_attribute(names.VERDICT, answers[0].verdict)

    def end(self, error: BaseException | None) -> None:
        """The request was answered, or an error ended it."""
        if self._span is None:
            return
        if self._batch:
            self._span.set_attribute(names.MESSAGE_COUNT, self._count)
        if error is not None:
            names.fail(self._span, type(error).__name__)
        self._span.end()


_under_way: ContextVar[Submit | None] = ContextVar("submit_under_way", default=None)


def under_way() -> Submit | None:
    """The submit of the request that is served in this context."""
    return _under_way.get()


@contextmanager
def submitting(tracer: Tracer, headers: Headers, *, batch: bool) -> Iterator[None]:
    """Around the request of a submit."""
    submit = Submit(tracer, headers, batch=batch)
    before = _under_way.set(submit)
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        _under_way.reset(before)
        submit.end(failure)
