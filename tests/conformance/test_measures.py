"""What processes measured is put together: nothing is lost, nothing counts twice, rows stay few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.stage import Clock, Stage
from tests.conftest import staged
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.measured import SILENT, Measured
from unlost.ledger.protocol import Ledger
from unlost.task import SECOND
from unlost.telemetry.measures import (
    MOST_TYPES,
    NOTHING,
    OTHER,
    Histogram,
    Measures,
    OfCall,
    OfType,
)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Stage]:
    """The ledgers that keep measures."""
    async with staged(request, tmp_path, clock) as stage:
        yield stage


def measuring(ledger: Ledger) -> Measured:
    assert isinstance(ledger, Measured)
    return ledger


def attempts(number: int, *types: str) -> Measures:
    counts = (number, *Histogram().counts[1:])
    seen = OfType({"succeeded": number}, 1, Histogram(counts, number), Histogram(counts, number))
    return Measures(dict.fromkeys(types, seen), {}, {"over-rate": number})


async def number(ledger: Measured, name: str) -> int:
    """Attempts of a type that succeeded."""
    return (await ledger.sum_measures()).types.get(name, OfType()).outcomes.get("succeeded", 0)


async def test_the_sum_is_that_of_all_processes_whoever_asks(stage: Stage) -> None:
    here, there = measuring(stage.ledger), measuring(await stage.another())
    assert await here.sum_measures() == NOTHING
    mail = attempts(2, "mail")
    calls = Measures({}, {"submitTask": OfCall({202: 3}, Histogram(sum=5))}, {"over-rate": 7})
    for ledger, process, measures in ((here, "p1", mail), (there, "p2", mail.plus(calls))):
        await ledger.open_measures(process)
        assert await ledger.publish_measures(process, measures)
    for ledger in (here, there):
        assert await ledger.sum_measures() == mail.plus(mail).plus(calls)


async def test_totals_take_the_place_of_the_last_ones(stage: Stage) -> None:
    ledger = measuring(stage.ledger)
    await ledger.open_measures("p")
    for total in (1, 1, 4):
        assert await ledger.publish_measures("p", attempts(total, "mail"))
        assert await ledger.sum_measures() == attempts(total, "mail")
    await ledger.open_measures("p")  # again, since its answer was lost
    assert await number(ledger, "mail") == 4


async def test_what_an_ended_process_measured_stays_and_is_added_once(stage: Stage) -> None:
    ledger = measuring(stage.ledger)
    for process in ("p1", "p2"):
        await ledger.open_measures(process)
        await ledger.publish_measures(process, attempts(1, "mail"))
    for _ in range(2):
        await ledger.close_measures("p1", attempts(5, "mail"))
        assert await number(ledger, "mail") == 6
        assert (await ledger.sum_measures()).refused == {"over-rate": 6}
    assert not await ledger.publish_measures("p1", attempts(9, "mail"))
    assert await number(ledger, "mail") == 6


async def test_who_was_silent_for_long_is_added_to_the_sum_and_has_to_begin_anew(
    stage: Stage,
) -> None:
    ledger = measuring(stage.ledger)
    for process in ("silent", "talks"):
        await ledger.open_measures(process)
        await ledger.publish_measures(process, attempts(1, "mail"))
    stage.clock.advance(SILENT / SECOND - 1)
    await ledger.publish_measures("talks", attempts(2, "mail"))
    await ledger.open_measures("new")
    assert await ledger.publish_measures("silent", attempts(3, "mail"))
    stage.clock.advance(SILENT / SECOND - 1)
    await ledger.publish_measures("talks", attempts(3, "mail"))
    stage.clock.advance(1)
    await ledger.open_measures("newer")
    assert await number(ledger, "mail") == 6
    assert not await ledger.publish_measures("silent", attempts(4, "mail"))
    assert await ledger.publish_measures("talks", attempts(4, "mail"))
    assert await number(ledger, "mail") == 7


async def test_only_so_many_types_have_names_and_a_named_one_never_loses_its_own(
    stage: Stage,
) -> None:
    here, there = measuring(stage.ledger), measuring(await stage.another())
    first = [f"a{i}" for i in range(MOST_TYPES - 5)]
    second = [f"b{i}" for i in range(10)]
    for ledger, process in ((here, "p1"), (there, "p2")):
        await ledger.open_measures(process)
    await here.publish_measures("p1", attempts(1, *first))
    await asyncio.gather(
        here.publish_measures("p1", attempts(1, *first, "a", "b", "c")),
        there.publish_measures("p2", attempts(1, *second)),
    )
    types = (await here.sum_measures()).types
    assert len(types) == MOST_TYPES + 1
    assert types[OTHER].outcomes == {"succeeded": 8}
    await there.close_measures("p2", attempts(2, *second))
    await here.close_measures("p1", attempts(2, *first, "a", "b", "c", "d"))
    after = (await there.sum_measures()).types
    assert after.keys() == types.keys()
    assert after[OTHER].outcomes == {"succeeded": 18}


async def test_what_was_measured_survives_with_its_ledger(stage: Stage) -> None:
    """What is in memory is opened once."""
    ledger = measuring(stage.ledger)
    await ledger.open_measures("p")
    await ledger.publish_measures("p", attempts(3, 'a "type"\\ of \N{SNOWMAN}'))
    await stage.reopen()
    assert await measuring(stage.ledger).sum_measures() == attempts(3, 'a "type"\\ of \N{SNOWMAN}')


def test_a_ledger_whose_metrics_are_elsewhere_does_not_offer_to_keep_them() -> None:
    assert not issubclass(DynamoLedger, Measured)
