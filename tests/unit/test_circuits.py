"""A circuit that opens is warned of once, and told of once when it has closed."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.conformance.stage import Clock, Stage
from tests.unit.virtual import clock, in_virtual_time
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change
from unlost.task import SECOND
from unlost.upkeep.circuits import INTERVAL, Circuits

FIRST = "2023-11-14T22:13:23.000000Z"
BREAKER = Breaker(minimum=1, pause=30 * SECOND)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    found = [one for one in caplog.records if one.message.startswith("circuit.")]
    return [(one.message, one.levelname, vars(one)["since"]) for one in found]


class Broken:
    """Has a type whose circuit opens after three seconds, and that nobody looks after then."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger(clock)
        self.stage = Stage(self.ledger, Clock(), self.same)

    async def same(self) -> Ledger:
        return self.ledger

    async def open(self, task_id: str = "t") -> None:
        await asyncio.sleep(3)
        await self.ledger.change("mail", Change(breaker=BREAKER))
        await self.stage.submit(task_id, type="mail")
        (attempt,) = await self.stage.claim()
        await self.stage.retry(attempt)

    async def probe(self, *, well: bool) -> None:
        (attempt,) = await self.stage.claim()
        await (self.stage.succeed(attempt) if well else self.stage.retry(attempt))


@in_virtual_time
async def test_it_is_told_once_however_long_it_stays_open_and_however_often_it_is_probed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "unlost")
    broken = Broken()
    looking = asyncio.create_task(Circuits(broken.ledger).run())
    await broken.open()
    await asyncio.sleep(30)
    await broken.probe(well=False)
    await asyncio.sleep(30)
    assert told(caplog) == [("circuit.opened", "WARNING", FIRST)]
    await broken.probe(well=True)
    await asyncio.sleep(60)
    assert told(caplog)[1:] == [("circuit.closed", "INFO", FIRST)]
    assert {vars(one)["type"] for one in caplog.records} == {"mail"}
    looking.cancel()


@in_virtual_time
async def test_one_that_is_open_at_the_start_is_told_with_the_time_that_it_opened(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = Broken()
    await broken.open()
    await asyncio.sleep(20)
    await Circuits(broken.ledger).look()
    assert told(caplog) == [("circuit.opened", "WARNING", FIRST)]


@in_virtual_time
async def test_one_that_closed_and_opened_between_two_looks_is_told_of_both(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "unlost")
    broken = Broken()
    circuits = Circuits(broken.ledger)
    await broken.open()
    await circuits.look()
    await asyncio.sleep(30)
    await broken.probe(well=True)
    await broken.open("another")
    await circuits.look()
    assert [name for name, _, _ in told(caplog)] == [
        "circuit.opened", "circuit.closed", "circuit.opened",
    ]  # fmt: skip
    assert told(caplog)[2][2] > FIRST


@in_virtual_time
async def test_a_breaker_that_is_taken_away_is_told_as_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "unlost")
    broken = Broken()
    circuits = Circuits(broken.ledger)
    await broken.open()
    await circuits.look()
    await broken.ledger.change("mail", Change(breaker=None))
    await circuits.look()
    assert [name for name, _, _ in told(caplog)] == ["circuit.opened", "circuit.closed"]


@in_virtual_time
async def test_a_ledger_that_is_away_for_a_while_ends_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Broken()
    looking = asyncio.create_task(Circuits(broken.ledger).run())

    async def away() -> None:
        raise LedgerUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(broken.ledger, "controls", away)
        await broken.open()
    await asyncio.sleep(2 * INTERVAL)
    assert ("circuit.opened", "WARNING", FIRST) in told(caplog)
    looking.cancel()
