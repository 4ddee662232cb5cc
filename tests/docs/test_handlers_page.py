"""docs/handlers.md: its file is run as it stands, and does what the page says."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS, blocks
from tests.process.service import Service, alive, service, until
from unlost.ledger.values import Query
from unlost.task import SECOND, Outcome, Record, State


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "app.py").write_text("\n\n".join(blocks(DOCS / "handlers.md", "python")))
    async with service(tmp_path, handler="app:handlers", backoff_base=0.01) as started:
        yield started


def outcomes(record: Record) -> list[Outcome | None]:
    return [attempt.outcome for attempt in record.attempts]


async def test_what_is_returned_raised_and_rejected_is_recorded(running: Service) -> None:
    await running.submit("greeted", type="greet", payload='{"name":"Ann"}')
    await running.submit("mailed", type="mail.send")
    await running.submit("sent", type="invoice.send", payload='{"customer":7}')
    await running.submit("rejected", type="invoice.send")
    assert (await running.ended("greeted")).result == '{"greeting":"Hello Ann"}'
    assert (await running.ended("sent")).result == '{"sent":7}'
    mailed = await running.ended("mailed")
    assert mailed.result == '{"sentAtAttempt":2}'
    first, second = mailed.attempts
    assert first.finished_at is not None
    assert second.started_at - first.finished_at >= 0.5 * SECOND
    rejected = await running.ended("rejected")
    assert rejected.state is State.DEAD
    assert rejected.error is not None
    assert (rejected.error.type, rejected.error.message) == ("Reject", "no customer")
    assert rejected.attempt_count == 1


async def test_what_follows_from_an_order_is_there_with_its_success(running: Service) -> None:
    await running.submit("order", type="order.take", payload='{"number":7}')
    assert (await running.ended("order")).result == '{"taken":7}'
    assert (await running.ended("pack:7")).state is State.SUCCEEDED
    page = await running.ledger.page(Query(parent="order"))
    assert {record.type for record in page.records} == {"order.pack", "mail.send"}


async def test_a_report_that_takes_too_long_times_out(running: Service) -> None:
    await running.submit("slow", type="report.make", payload='{"seconds":60}')
    slow = await running.ended("slow")
    assert (slow.state, outcomes(slow)) == (State.DEAD, [Outcome.TIMED_OUT])
    assert slow.error is not None
    assert slow.error.type == "AttemptTimedOut"


async def test_a_cancel_reaches_both_kinds_of_handler(running: Service) -> None:
    part, stopped = running.folder / "film.part", running.folder / "rows.stopped"
    await running.submit("film", type="video.encode")
    await running.submit("rows", type="rows.import", payload='{"rows":100000}')
    await until(part.exists)
    await running.when("rows", lambda record: record.state is State.RUNNING)
    for name in ("film", "rows"):
        await running.ledger.cancel(name, None, None)
        assert (await running.ended(name)).state is State.CANCELLED
    await until(lambda: not part.exists() and stopped.exists(), 8.0)
    assert outcomes(await running.ended("film")) == [Outcome.CANCELLED]


CONVERT = """
while read -r program its_own; do kill -0 "$program" && echo "$program" >> beside; done < pids
sleep 600 &
echo $$ $! >> pids
wait
"""


async def test_programs_that_a_handler_starts_end_with_its_attempt(running: Service) -> None:
    pids = running.folder / "pids"
    pids.touch()
    (running.folder / "convert.sh").write_text(CONVERT)
    film: dict[str, Any] = {"type": "film.convert", "payload": '{"film":"a.mov"}'}
    await running.submit("slow", timeout=0.5, **film)
    assert outcomes(await running.ended("slow")) == [Outcome.TIMED_OUT] * 3
    await running.submit("cancelled", **film)
    await until(lambda: len(pids.read_text().split()) == 8)
    await running.ledger.cancel("cancelled", None, None)
    begun = [int(pid) for pid in pids.read_text().split()]
    await until(lambda: not any(alive(pid) for pid in begun), 10.0)
    assert not (running.folder / "beside").exists()


async def test_a_charge_whose_process_dies_after_it_is_booked_once(running: Service) -> None:
    await running.submit("c-1", type="charge", payload='{"amount":10,"crash":true}')
    ended = await running.ended("c-1")
    assert outcomes(ended) == [Outcome.LOST, Outcome.SUCCEEDED]
    with closing(sqlite3.connect(running.folder / "books.db")) as books:
        assert books.execute("SELECT * FROM charge").fetchall() == [("c-1", 10)]
