"""What comes again and again is in the log at once, then rarely, and is counted."""

from __future__ import annotations

import asyncio

import pytest

from unlost.seldom import OTHERS, REASONS, Seldom
from unlost.telemetry import Log


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    told = [vars(record) for record in caplog.records]
    caplog.clear()
    return [(one["why"], one["count"]) for one in told]


async def test_each_reason_is_told_at_once_and_then_with_how_often_it_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seldom = Seldom(Log("unlost.test"), "test.happened", every=0.05)
    for _ in range(5):
        seldom.tell("a")
    seldom.tell("b")
    assert lines(caplog) == [("a", 1), ("b", 1)]
    await asyncio.sleep(0.08)
    assert lines(caplog) == [("a", 4)], "the rest, though nothing came since"
    await asyncio.sleep(0.08)
    seldom.tell("a")
    assert lines(caplog) == [("a", 1)], "at once, after a while of silence"


async def test_reasons_without_end_are_told_together(caplog: pytest.LogCaptureFixture) -> None:
    seldom = Seldom(Log("unlost.test"), "test.happened", every=60)
    for number in range(3 * REASONS):
        seldom.tell(f"reason {number}")
    told = lines(caplog)
    assert len(told) == REASONS + 1
    assert told[-1] == (OTHERS, 1)
