"""Whether a transaction that is held open stops the queue: `python -m bench.churn --held 600`.

Nothing that died since it began can be vacuumed meanwhile.  First the peak is found, without it.
Then tasks come at half of that, beside what services do each second (sweeps, reports, counts):
for a while before, while somebody else's transaction has read something and stays open, and after
it.  A line a spell tells what was done and what each step touched; what a claim touched must stay
the same, whatever else the machine does.  The last line has the verdict.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any, Final

import msgspec
import psycopg

from bench.churner import LEASE, Churner
from bench.spells import HEADINGS, Spell, line, look
from tests.postgres.databases import Database
from unlost.ledger.postgres import PostgresLedger

LOOPS: Final = 3
"""Workers that claim and settle."""

PEAK: Final = 30.0
"""Seconds that the peak is measured over; a quarter of the hold where that is less."""

WITHIN: Final = 60.0
"""Seconds after the end by which it must be as before."""

DURING, AFTERWARDS = 0.6, 0.95
"""The least that a second does at the hold's end and afterwards, beside what it did before."""

APART: Final = 0.05
"""Seconds between two batches that are submitted."""

CLAIMS: Final = """
SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
WHERE datname = current_database() AND query LIKE '%locked AS MATERIALIZED%'
"""


class Part(msgspec.Struct, frozen=True):
    """What was done in a spell, and what its claims touched."""

    spell: Spell
    claims: int
    pages: int

    @property
    def a_claim(self) -> float:
        """Pages that a claim touched."""
        return self.pages / max(self.claims, 1)


class Held:
    """Tasks at a pace, and what watches them."""

    def __init__(self, database: Database, ledger: PostgresLedger, every: float) -> None:
        self._database = database
        self._ledger = ledger
        self._every = every
        self._churner = Churner(ledger, Random(1), float("inf"), 0)

    async def peak(self, seconds: float, waiting: int) -> float:
        """Tasks a second, as many as can be, with so many that wait."""
        churner = Churner(self._ledger, Random(2), time.monotonic() + seconds, 0)
        for _ in range(0, waiting, 1000):
            await churner.submit(1000)
        began = time.monotonic()
        await asyncio.gather(*(churner.turn() for _ in range(LOOPS)))
        rate = churner.done / (time.monotonic() - began)
        until = time.monotonic() + 60
        worker = await churner.enlist()
        while time.monotonic() < until and (await churner.work(worker))[0]:
            pass  # until only what is to be retried waits
        return rate

    @contextlib.asynccontextmanager
    async def paced(self, rate: float) -> AsyncIterator[None]:
        """Tasks come at this rate, are worked on, and the ledger is kept tidy."""
        jobs = [self._submit(rate), self._upkeep(), *(self._work() for _ in range(LOOPS))]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            yield
        finally:
            failed = [task.exception() for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if failed:
            raise RuntimeError("not all of it went on to the end") from failed[0]

    async def _submit(self, rate: float) -> None:
        began, sent = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) * rate) - sent
            for start in range(0, due, 1000):
                await self._churner.submit(min(1000, due - start))
            sent += due
            await asyncio.sleep(APART)

    async def _work(self) -> None:
        worker = await self._churner.enlist()
        while True:
            claimed, _ = await self._churner.work(worker)
            if not claimed:
                await self._ledger.due_in(None)
                await asyncio.sleep(APART / 5)

    async def _upkeep(self) -> None:
        while True:
            await self._ledger.held(None)
            reports = await self._ledger.claim_reports(100, LEASE)
            await self._ledger.reported([report.id for report in reports])
            await self._ledger.counts()
            await asyncio.sleep(1)

    async def spells(self, db: psycopg.Connection[Any], seconds: float, what: str) -> list[Part]:
        """A line for each spell of so long."""
        found = []
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > self._every / 10:
            found.append(await self._part(db, min(self._every, left)))
            print(f"{what:6} {found[-1].a_claim:7.1f}  {line(found[-1].spell)}", flush=True)
        return found

    async def _part(self, db: psycopg.Connection[Any], seconds: float) -> Part:
        server = self._database.server.pid
        before, done, since = look(db, server), self._churner.done, time.monotonic()
        claims, pages = _claims(db)
        await asyncio.sleep(seconds)
        after, now = await asyncio.to_thread(look, db, server), time.monotonic()
        more_claims, more_pages = _claims(db)
        spell = Spell(before, after, self._churner.done - done, now - since)
        return Part(spell, more_claims - claims, more_pages - pages)


def _claims(db: psycopg.Connection[Any]) -> tuple[int, int]:
    claims, pages = db.execute(CLAIMS).fetchone() or (0, 0)
    return int(claims), int(pages)


@contextlib.contextmanager
def snapshot(db: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction of somebody else's that has read something, and is idle."""
    db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    db.execute("SELECT count(*) FROM pg_class")
    try:
        yield
    finally:
        db.execute("COMMIT")


async def hold(database: Database, chosen: argparse.Namespace) -> bool:
    """Measure, print; whether the bounds were kept."""
    ledger = await database.ledger()
    every = min(chosen.every, max(chosen.held / 10, 5.0))
    held = Held(database, ledger, every)
    peak = await held.peak(min(PEAK, chosen.held / 4), chosen.waiting)
    rate = chosen.rate or peak / 2
    print(f"peak {peak:,.0f} tasks/s; they come at {rate:,.0f}/s")
    print("\n".join(f"{one:15} {two}" for one, two in zip(("", "       a claim"),
          HEADINGS.splitlines(), strict=True)))  # fmt: skip
    with database.connect() as db, database.connect() as other:
        async with held.paced(rate):
            before = await held.spells(db, max(2 * every, 20.0), "before")
            with snapshot(other):
                during = await held.spells(db, chosen.held, "held")
            after = await held.spells(db, WITHIN + every, "after")
    await ledger.close()
    return _judged(before, during, after)


def _judged(before: list[Part], during: list[Part], after: list[Part]) -> bool:
    usual = sum(part.spell.done for part in before) / sum(part.spell.seconds for part in before)
    last, end = during[-1].spell.rate / usual, after[-1].spell.rate / usual
    good = last >= DURING and end >= AFTERWARDS
    print(
        f"at the end of the hold {last:.2f} of before (bound {DURING}), "
        f"after it {end:.2f} (bound {AFTERWARDS}): {'good' if good else 'NOT GOOD'}; pages a claim "
        f"{before[-1].a_claim:.0f} before, {during[-1].a_claim:.0f} then, "
        f"{after[-1].a_claim:.0f} after"
    )
    return good
