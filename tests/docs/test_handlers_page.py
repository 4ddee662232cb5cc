"""docs/handlers.md: its file is run as it stands, and does what the page says."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, blocks
from tests.process.service import Service, service, until
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
    await until(lambda: not part.exists() and stopped.exists(), 5.0)
    assert outcomes(await running.ended("film")) == [Outcome.CANCELLED]


async def test_a_charge_whose_process_dies_after_it_is_booked_once(running: Service) -> None:
    await running.submit("c-1", type="charge", payload='{"amount":10,"crash":true}')
    ended = await running.ended("c-1")
    assert outcomes(ended) == [Outcome.LOST, Outcome.SUCCEEDED]
    with closing(sqlite3.connect(running.folder / "books.db")) as books:
        assert books.execute("SELECT * FROM charge").fetchall() == [("c-1", 10)]
