"""From the caller through the submit to what the handler does: one trace."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from tests.traces.told import Told, linked, parent, said, where
from unlost.handlers import Handlers, Task
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.ledger.values import Claimed
from unlost.settings import Settings
from unlost.worker.worker import Worker


async def processed(told: Told, handler: Any) -> None:
    """Submit a task of the type mail as a caller who traces, and see it to its end."""
    ledger = MemoryLedger(wall_clock)
    handlers = Handlers.for_every_type(handler)
    worker = Worker(
        ledger, handlers, Settings(), worker_id="w", random=Random(7), tracing=told.tracing
    )
    async with told.api(ledger) as api:
        working = asyncio.create_task(worker.run())
        with told.caller() as headers:
            task = {"taskId": "a", "type": "mail", "payload": {}}
            assert (await api.post("/tasks", json=task, headers=headers)).status_code == 202
        shown = (await api.get("/tasks/a?wait=10")).json()
        assert shown["state"] == "succeeded"
        worker.drain()
        await working


@pytest.mark.parametrize("is_async", [True, False])
async def test_from_the_caller_to_the_handlers_own_span_all_is_one_trace(
    told: Told, is_async: bool
) -> None:
    def work(task: Task) -> None:
        with told.tracer.start_as_current_span("inside"):
            pass

    async def work_async(task: Task) -> None:
        await asyncio.sleep(0)
        work(task)

    await processed(told, work_async if is_async else work)
    names = ["call", "send", "process", "inside", "settle"]
    call, send, process, inside, settle = map(told.one, names)
    spans = [call, send, process, inside, settle]
    assert len({where(span).trace_id for span in spans}) == 1
    assert parent(send) == where(call).span_id
    assert parent(process) == where(send).span_id
    assert linked(process) == [where(send).span_id]
    assert parent(inside) == where(process).span_id
    assert parent(settle) == where(process).span_id


async def test_spans_say_what_the_conventions_for_messaging_want(told: Told) -> None:
    await processed(told, lambda task: {"sent": 1})
    kinds = {"send": SpanKind.PRODUCER, "process": SpanKind.CONSUMER, "settle": SpanKind.CLIENT}
    for operation, kind in kinds.items():
        span = told.one(operation)
        assert (span.name, span.kind) == (f"{operation} mail", kind)
        assert said(span, "messaging.system") == "unlost"
        assert said(span, "messaging.operation.name") == operation
        assert said(span, "messaging.operation.type") == operation
        assert said(span, "messaging.destination.name") == "mail"
        assert said(span, "messaging.message.id") == "a"
        assert said(span, "error.type") is None
    assert said(told.one("send"), "unlost.submit.verdict") == "accepted"
    assert said(told.one("process"), "unlost.attempt.number") == 1
    assert said(told.one("process"), "unlost.attempt.outcome") == "succeeded"
    assert said(told.one("settle"), "unlost.task.event") == "succeed"


async def test_a_handler_may_say_more_in_the_span_of_its_attempt(told: Told) -> None:
    from opentelemetry import trace

    def work(task: Task) -> None:
        trace.get_current_span().set_attribute("invoice", 7)

    await processed(told, work)
    assert said(told.one("process"), "invoice") == 7


def test_before_and_after_a_handler_its_span_is_not_the_current_one(told: Told) -> None:
    from opentelemetry import trace

    claimed = Claimed("a", "token", "mail", "{}", 1, 1, 2, 60.0, 60, 0, 0, 0, 0)
    with told.tracing.attempt(claimed):
        assert trace.get_current_span().get_span_context().is_valid
    assert not trace.get_current_span().get_span_context().is_valid
    assert told.all("process") == []  # it lasts until it is known how it ended


async def test_a_span_begins_with_its_request_and_a_task_waits_no_negative_time(
    told: Told,
) -> None:
    await processed(told, lambda task: None)
    call, send, process = map(told.one, ["call", "send", "process"])
    assert (call.start_time or 0) <= (send.start_time or 0) <= (process.start_time or 0)
    assert 0 <= said(process, "unlost.wait_seconds") < 10
