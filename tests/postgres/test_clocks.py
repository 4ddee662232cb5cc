"""Machines whose clocks are an hour apart: the time is the database's, so that nobody notices."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from tests.conformance.stage import must_add_up, submission
from tests.postgres.databases import Database
from tests.postgres.machine import Machine, beside, ended, eventually
from unlost.task import SECOND, Outcome

HALF_AN_HOUR = 1800
LEASE = 1.0
LONGEST_WAIT = 0.2


async def test_workers_whose_clocks_are_an_hour_apart_work_retry_and_reap_nothing_too_soon(
    database: Database, tmp_path: Path
) -> None:
    """Some tasks run for longer than two leases; each of the others fails twice first."""
    long = [f"long-{number}" for number in range(3)]
    failing = [f"failing-{number}" for number in range(20)]
    settings = {"lease": LEASE, "concurrency": 3, "backoff_cap": LONGEST_WAIT}
    async with beside(database.url) as ledger:
        with (
            Machine(tmp_path / "early", "worker", database.url, -HALF_AN_HOUR, **settings) as early,
            Machine(tmp_path / "late", "worker", database.url, HALF_AN_HOUR, **settings) as late,
        ):
            await asyncio.to_thread(early.await_ready)
            await asyncio.to_thread(late.await_ready)
            await ledger.submit(
                [submission(name, type="works", payload='{"seconds": 2.2}') for name in long]
                + [
                    submission(name, type="works", payload='{"failures": 2, "seconds": 0.05}')
                    for name in failing
                ]
            )
            records = {name: await ended(ledger, name) for name in long + failing}
            assert not early.events("attempt.lost") + late.events("attempt.lost")
        await must_add_up(ledger)
    clocks: dict[str, float] = {}
    for name, record in records.items():
        failures = [Outcome.FAILED, Outcome.FAILED] if name in failing else []
        outcomes = [attempt.outcome for attempt in record.attempts]
        assert outcomes == [*failures, Outcome.SUCCEEDED]
        for attempt in record.attempts:
            assert abs(attempt.started_at / SECOND - time.time()) < 60
            if attempt.next_attempt_at is not None and attempt.finished_at is not None:
                wait = (attempt.next_attempt_at - attempt.finished_at) / SECOND
                assert 0 <= wait <= LONGEST_WAIT
        assert record.result is not None
        result = json.loads(record.result)
        clocks[result["machine"]] = result["clock"]
    assert 3500 < clocks["late"] - clocks["early"] < 3700, "both worked, by clocks of their own"


async def test_a_killed_workers_attempt_is_lost_whatever_its_machine_takes_the_time_for(
    database: Database, tmp_path: Path
) -> None:
    """By a clock half an hour fast, its deadline would be over long ago."""
    async with beside(database.url) as ledger:
        with Machine(tmp_path / "late", "worker", database.url, HALF_AN_HOUR) as late:
            await asyncio.to_thread(late.await_ready)
            await ledger.submit([submission("a", type="ends when told")])
            await eventually(lambda: late.has("a"))
            late.child().kill()
            (late.folder / "a.go").touch()
            record = await ended(ledger, "a")
        assert [attempt.outcome for attempt in record.attempts] == [
            Outcome.LOST, Outcome.SUCCEEDED,
        ]  # fmt: skip
        await must_add_up(ledger)
