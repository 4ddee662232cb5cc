"""What a submit tells, what its tasks carry, and what is ignored."""

from __future__ import annotations

import logging

import httpx
import pytest

from tests.traces.told import PARENT, SPAN, TRACE, Told, failed, parent, said, where
from tests.unit.stage import Unreliable, submission
from tests.unit.virtual import clock, in_virtual_time
from unlost import carried
from unlost.carried import Carried

TASK = {"taskId": "a", "payload": {"n": 1}}


async def carried_by(ledger: Unreliable, task_id: str = "a") -> Carried:
    record = await ledger.get(task_id)
    assert record is not None
    return carried.read(record.carried)


@in_virtual_time
async def test_a_task_carries_the_span_of_its_submit_and_the_callers_tracestate() -> None:
    told, ledger = Told(), Unreliable(clock)
    async with told.api(ledger) as api:
        headers = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]
        await api.post("/tasks", json=TASK, headers=headers)
    span = where(told.one("send"))
    assert (span.trace_id, parent(told.one("send"))) == (TRACE, SPAN)
    known = await carried_by(ledger)
    assert known.traceparent == f"00-{span.trace_id:032x}-{span.span_id:016x}-01"
    assert known.tracestate == "a=1,b=2"
    assert not known.batch


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", "")],
        [("traceparent", "nonsense")],
        [("traceparent", PARENT.upper())],
        [("traceparent", PARENT + "-more")],
        [("traceparent", "ff" + PARENT[2:])],
        [("traceparent", f"00-{0:032x}-{SPAN:016x}-01")],
        [("traceparent", f"00-{TRACE:032x}-{0:016x}-01")],
        [("traceparent", "01" + PARENT[2:] + "-" + "x" * 600)],
        [("traceparent", PARENT), ("traceparent", PARENT)],
        [("traceparent", b"\xff\xfe")],
        [("tracestate", "a=1")],
    ],
)
@in_virtual_time
async def test_a_traceparent_that_is_none_is_ignored_and_no_word_is_lost_on_it(
    headers: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    told, ledger = Told(), Unreliable(clock)
    async with told.api(ledger) as api:
        assert (await api.post("/tasks", json=TASK, headers=headers)).status_code == 202
    send = told.one("send")
    assert send.parent is None
    assert where(send).trace_id != TRACE
    assert (await carried_by(ledger)).tracestate is None
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("state", ["=", "a=1,a=2", "a=" + "x" * 600, "\u00e9=1"])
@in_virtual_time
async def test_a_tracestate_that_is_none_costs_only_itself(state: str) -> None:
    told, ledger = Told(), Unreliable(clock)
    async with told.api(ledger) as api:
        headers = httpx.Headers({"traceparent": PARENT, "tracestate": state}, encoding="latin-1")
        assert (await api.post("/tasks", json=TASK, headers=headers)).status_code == 202
    assert where(told.one("send")).trace_id == TRACE
    assert (await carried_by(ledger)).tracestate is None


@in_virtual_time
async def test_a_replay_with_another_traceparent_is_a_replay() -> None:
    told, ledger = Told(), Unreliable(clock)
    async with told.api(ledger) as api:
        await api.post("/tasks", json=TASK)
        before = await carried_by(ledger)
        again = await api.post("/tasks", json=TASK, headers={"traceparent": PARENT})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert await carried_by(ledger) == before
    verdicts = [said(span, "unlost.submit.verdict") for span in told.all("send")]
    assert verdicts == ["accepted", "replayed"]
    assert not any(map(failed, told.all("send")))


@in_virtual_time
async def test_a_submit_that_fails_says_so_and_one_that_never_was_says_nothing() -> None:
    told, ledger = Told(), Unreliable(clock)
    async with told.api(ledger) as api:
        await api.post("/tasks", json=TASK)
        conflict = await api.post("/tasks", json={"taskId": "a", "payload": {"n": "secret"}})
        wrong = await api.post("/tasks", json={"taskId": "b", "payload": "secret"})
    assert (conflict.status_code, wrong.status_code) == (409, 422)
    _, failure = told.all("send")
    assert failed(failure)
    assert said(failure, "error.type") == "Conflict"
    assert "secret" not in told.everything()


@pytest.mark.parametrize("form", ["json", "ndjson"])
@in_virtual_time
async def test_a_batch_is_one_span_which_all_its_tasks_carry(form: str) -> None:
    told, ledger = Told(), Unreliable(clock)
    tasks = [{"taskId": str(n % 3), "payload": {"n": n % 3}, "type": f"t{n % 3}"} for n in range(5)]
    async with told.api(ledger) as api:
        headers = {"traceparent": PARENT}
        if form == "json":
            answer = await api.post("/tasks/batch", json={"tasks": tasks}, headers=headers)
        else:
            headers["content-type"] = "application/x-ndjson"
            lines = "\n".join(httpx.Request("POST", "http://x", json=one).content.decode()
                              for one in tasks)  # fmt: skip
            answer = await api.post("/tasks/batch", content=lines + "\n{", headers=headers)
    assert answer.json()["accepted"] == 3
    send = told.one("send")
    assert send.name == "send"
    assert parent(send) == SPAN
    assert said(send, "messaging.batch.message_count") == 5
    assert said(send, "messaging.message.id") is None
    for n in range(3):
        known = await carried_by(ledger, str(n))
        assert f"-{where(send).span_id:016x}-" in (known.traceparent or "")
        assert known.batch


@in_virtual_time
async def test_what_a_task_carries_already_stays() -> None:
    told = Told()
    before = carried.write(Carried(callback_url="https://example.com/"))
    with told.tracing.submit([(b"traceparent", PARENT.encode())], batch=False):
        [new] = told.tracing.carry([submission("a", carried=before)])
    known = carried.read(new.carried)
    assert known.callback_url == "https://example.com/"
    assert known.traceparent is not None
