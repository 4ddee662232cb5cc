"""Limits while machines race: never exceeded, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from tests.conformance.stage import BOOM, LEASE, Stage, ended, must_add_up
from tests.postgres.databases import Database
from tests.postgres.test_positions import until_waiting
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claim, Claimed, Worker
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome, State

LIMITS = Limits(50, 60.0)
OPEN = (State.QUEUED, State.RUNNING, State.RETRYING)


class Gauge:
    """What runs, as those who run it know, and the most that ever did."""

    def __init__(self, keys: dict[str, str]) -> None:
        self._keys = keys
        self._running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.runs = 0

    def begin(self, attempt: Claimed) -> None:
        self.runs += 1
        for name in ("all", self._keys[attempt.task_id]):
            self._running[name] += 1
            self.most[name] = max(self.most[name], self._running[name])

    def end(self, attempt: Claimed) -> None:
        for name in ("all", self._keys[attempt.task_id]):
            self._running[name] -= 1


async def work(ledger: Ledger, worker: str, draw: random.Random, gauge: Gauge) -> None:
    """Claim, wait, and settle in any way, until everything is over."""
    await ledger.enlist(Worker(worker), 60 * LEASE)
    for turn in range(10_000):
        states = (await ledger.counts()).states
        if not any(states[state] for state in OPEN):
            return
        tokens = [f"{worker}-{turn}-{number}" for number in range(draw.randint(1, 4))]
        claimed = await ledger.claim(Claim(worker, tokens, None, LIMITS))
        for attempt in claimed:
            gauge.begin(attempt)
        for attempt in claimed:
            await asyncio.sleep(draw.random() * 0.01)
            await end(ledger, attempt, draw, gauge)


async def end(ledger: Ledger, attempt: Claimed, draw: random.Random, gauge: Gauge) -> None:
    """It runs no more from before the ledger is told: what it is told may be seen at once."""
    gauge.end(attempt)
    way = draw.random()
    if way < 0.1:
        await ledger.cancel(attempt.task_id, None, None)
    elif way < 0.3:
        await ledger.settle([ended(attempt, Outcome.FAILED, Event.RETRY, error=BOOM)])
    elif way < 0.4:
        await ledger.settle([ended(attempt, Outcome.RELEASED, Event.RELEASE)])
    else:
        await ledger.settle([ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED)])


async def test_limits_hold_while_machines_race_and_every_task_ends(alone: Stage) -> None:
    ledgers = [alone.ledger, await alone.another(), await alone.another()]
    draw = random.Random(11)
    await alone.ledger.change("mail", Change(limit=4, key_limit=2))
    keys = {f"{key}-{n}": key for key in ("ann", "bob", "zoe") for n in range(40)}
    for key in ("ann", "bob", "zoe"):
        ids = [task_id for task_id in keys if keys[task_id] == key]
        await alone.submit(*ids, type="mail", key=key, max_retries=50)
    gauge = Gauge(keys)
    await asyncio.wait_for(
        asyncio.gather(
            *(
                work(ledger, f"w{home}-{number}", random.Random(draw.random()), gauge)
                for home, ledger in enumerate(ledgers)
                for number in range(2)
            )
        ),
        timeout=60,
    )
    assert 2 <= gauge.most["all"] <= 4
    assert all(gauge.most[key] <= 2 for key in ("ann", "bob", "zoe"))
    assert gauge.runs > len(keys)
    await must_add_up(alone.ledger)


async def test_a_breaker_counts_the_ends_that_all_machines_tell(alone: Stage) -> None:
    other = await alone.another()
    breaker = Breaker(share=0.5, window=3600 * SECOND, minimum=40, pause=3600 * SECOND)
    await alone.ledger.change("mail", Change(breaker=breaker))
    await alone.submit(*(f"t{number}" for number in range(60)), type="mail")
    attempts = await alone.claim(39)

    async def fail(attempt: Claimed) -> None:
        ledger = random.Random(attempt.task_id).choice([alone.ledger, other])
        await ledger.settle([ended(attempt, Outcome.FAILED, Event.DIE, error=BOOM)])

    await asyncio.gather(*map(fail, attempts))
    (control,) = await other.controls()
    assert sum(bucket.ended for bucket in control.circuit.buckets) == 39
    (last,) = await alone.claim(1)
    await fail(last)
    assert await alone.claim(9) == []


async def test_a_task_that_was_left_parked_by_older_code_is_found(
    alone: Stage, database: Database
) -> None:
    await alone.ledger.change("mail", Change(key_limit=1))
    await alone.submit("a", "b", type="mail", key="ann")
    await alone.claim(9)
    assert await alone.claim(9) == []
    with database.connect() as db:
        db.execute("UPDATE unlost.control SET told = false")
        db.commit()
        await alone.ledger.cancel("a", None, None)  # brings nothing back now
        db.execute("UPDATE unlost.control SET told = true")
    found = [await alone.claim(9), await alone.claim(9)]
    assert [one.task_id for claimed in found for one in claimed] == ["b"]


@pytest.mark.parametrize(
    ("named", "found"), [("pause", (True, None)), ("change", (False, 2)), ("resume", None)]
)
async def test_what_is_set_while_the_last_that_was_set_is_taken_away(
    alone: Stage, database: Database, named: str, found: tuple[bool, int | None] | None
) -> None:
    """The row of the type is there, held by who drops it."""
    steps: dict[str, Callable[[], Awaitable[None]]] = {
        "pause": lambda: alone.ledger.pause("mail", None, None),
        "change": lambda: alone.ledger.change("mail", Change(limit=2)),
        "resume": lambda: alone.ledger.resume("mail"),
    }
    await alone.ledger.change("mail", Change(limit=1))
    with database.connect() as holder, database.connect() as watcher:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM unlost.control WHERE type = 'mail' FOR UPDATE")
        setting = asyncio.ensure_future(steps[named]())
        await until_waiting(watcher, 1, setting)
        holder.execute("DELETE FROM unlost.control WHERE type = 'mail'")
        holder.execute("COMMIT")
        await setting
    known = [(one.pause is not None, one.limit) for one in await alone.ledger.controls()]
    assert known == ([] if found is None else [found])
