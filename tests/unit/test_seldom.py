"""What comes again and again is in the log at once, then rarely, and is counted."""

from __future__ import annotations

import asyncio

import pytest

from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.unavailable import log_unavailable
from unlost.telemetry.logs import Log
from unlost.telemetry.seldom import OTHERS, REASONS, Seldom


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    told = [vars(record) for record in caplog.records]
    caplog.clear()
    return [(one["why"], one["count"]) for one in told]


async def test_each_reason_is_told_at_once_and_then_with_how_often_it_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seldom = Seldom(Log("unlost.test"), "test.happened")
    for _ in range(5):
        seldom.tell("a", every=0.05)
    seldom.tell("b", every=0.05)
    assert lines(caplog) == [("a", 1), ("b", 1)]
    await asyncio.sleep(0.08)
    assert lines(caplog) == [("a", 4)], "the rest, though nothing came since"
    await asyncio.sleep(0.08)
    seldom.tell("a", every=0.05)
    assert lines(caplog) == [("a", 1)], "at once, after a while of silence"


async def test_reasons_without_end_are_told_together(caplog: pytest.LogCaptureFixture) -> None:
    seldom = Seldom(Log("unlost.test"), "test.happened")
    for number in range(3 * REASONS):
        seldom.tell(f"reason {number}")
    told = lines(caplog)
    assert len(told) == REASONS + 1
    assert told[-1] == (OTHERS, 1)


async def test_a_ledger_that_does_not_answer_is_told_once_whoever_asks_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("unlost.sweeper", "unlost.monitor"):
        for _ in range(3):
            log_unavailable(Log(name), LedgerUnavailable("down"))
    log_unavailable(Log("unlost.worker"), LedgerUnavailable("down"), {"settlements": 7})
    assert lines(caplog) == [("down", 1), ("down", 1)], "the second says more"
