"""Networks that are cut for longer than a lease: of one worker, for whom others go on, and which is
told; and of all workers, which costs nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.conformance.stage import must_add_up, submission
from tests.postgres.databases import Database
from tests.postgres.machine import Machine, beside, ended, eventually
from tests.postgres.proxy import Proxy
from unlost.ledger.protocol import Ledger
from unlost.task import Outcome, Record, State

LEASE = 1.0


def machine_of(record: Record) -> str:
    assert record.result is not None
    return str(json.loads(record.result)["machine"])


async def both_run(ledger: Ledger, far: Machine) -> None:
    """Have the machine run a task that waits for ever, and one that the test ends."""
    await ledger.submit([submission("waits", type="tells its cancel")])
    await ledger.submit([submission("late", type="ends when told")])
    await eventually(lambda: far.has("waits") and far.has("late"))


async def test_a_worker_cut_off_for_longer_than_its_lease_does_no_harm_when_it_is_back(
    database: Database, tmp_path: Path
) -> None:
    async with beside(database.url) as ledger, Proxy(database.url) as proxy:
        with Machine(tmp_path / "far", "worker", proxy.url, lease=LEASE) as far:
            await asyncio.to_thread(far.await_ready)
            await both_run(ledger, far)
            worker = far.child()
            with Machine(tmp_path / "near", "worker", database.url, lease=LEASE) as near:
                await asyncio.to_thread(near.await_ready)
                proxy.hold()
                for task_id in ("waits", "late"):
                    record = await ended(ledger, task_id)
                    outcomes = [attempt.outcome for attempt in record.attempts]
                    assert outcomes == [Outcome.LOST, Outcome.SUCCEEDED]
                    assert machine_of(record) == "near"
            before = [await ledger.get(task_id) for task_id in ("waits", "late")]
            assert not far.has("waits.told"), "it knows of nothing yet"
            (far.folder / "late.go").touch()
            await eventually(lambda: far.has("late.returned"))
            proxy.heal()
            await eventually(lambda: far.has("waits.told"))
            await eventually(lambda: not worker.is_running())
            await eventually(lambda: bool(far.events("attempt.refused")))
            assert [event["taskId"] for event in far.events("attempt.refused")] == ["late"]
            assert [await ledger.get(task_id) for task_id in ("waits", "late")] == before
            assert (await ledger.counts()).settled == 2

            await ledger.submit([submission("next", type="works")])
            record = await ended(ledger, "next")
            assert (record.state, machine_of(record)) == (State.SUCCEEDED, "far")
        await must_add_up(ledger)


async def test_all_workers_cut_off_for_longer_than_their_leases_go_on_with_what_they_run(
    database: Database, tmp_path: Path
) -> None:
    async with beside(database.url) as ledger, Proxy(database.url) as proxy:
        with (
            Machine(tmp_path / "one", "worker", proxy.url, lease=LEASE) as one,
            Machine(tmp_path / "two", "worker", proxy.url, lease=LEASE) as two,
        ):
            await asyncio.to_thread(one.await_ready)
            await asyncio.to_thread(two.await_ready)
            workers = [one.child().pid, two.child().pid]
            names = [f"t{number}" for number in range(8)]
            await ledger.submit([submission(name, type="ends when told") for name in names])
            await eventually(lambda: all(one.has(name) or two.has(name) for name in names))
            proxy.hold()
            proxy.cut()
            await eventually(lambda: no_lease_holds(ledger))
            await asyncio.sleep(LEASE)
            proxy.heal()
            for name in names:
                for machine in (one, two):
                    (machine.folder / f"{name}.go").touch()
            for name in names:
                record = await ended(ledger, name)
                assert [one.outcome for one in record.attempts] == [Outcome.SUCCEEDED]
            await ledger.submit([submission("next", type="works")])
            await ended(ledger, "next")
            assert not one.events("process.ended") + two.events("process.ended")
            assert [one.child().pid, two.child().pid] == workers
        await must_add_up(ledger)


async def no_lease_holds(ledger: Ledger) -> bool:
    return not await ledger.workers()
