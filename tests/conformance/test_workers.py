"""Who works, and on what."""

from __future__ import annotations

from tests.conformance.stage import LEASE, Stage
from unlost.ledger.values import MOST_SHOWN, Running, Worker


async def test_each_worker_is_shown_with_what_it_runs(stage: Stage) -> None:
    await stage.submit("a", "b")
    await stage.submit("c", type="mail")
    at = stage.clock()
    await stage.claim(2, worker="w1")
    stage.clock.advance(1)
    await stage.claim(1, worker="w2", types=("mail",))
    await stage.ledger.enlist(Worker("w3", None, alone=True), LEASE)
    one, two, three = await stage.ledger.workers()
    assert (one.worker, one.lease_until, one.count) == (Worker("w1"), at + LEASE, 2)
    assert one.running == (Running("a", "default", 1, at), Running("b", "default", 1, at))
    assert two.worker == Worker("w2", ("mail",))
    assert [run.task_id for run in two.running] == ["c"]
    assert (three.worker, three.running, three.count) == (Worker("w3", None, alone=True), (), 0)


async def test_one_that_starts_is_shown_until_it_says_what_it_serves(stage: Stage) -> None:
    for starting in (Worker("w", ()), Worker("solo", (), alone=True)):
        await stage.ledger.enlist(starting, LEASE)
    solo, worker = await stage.ledger.workers()
    assert (solo.worker, worker.worker) == (Worker("solo", (), alone=True), Worker("w", ()))
    assert solo.worker.starting
    assert worker.worker.starting
    for ready in (Worker("w", ("mail",)), Worker("solo", None, alone=True)):
        await stage.ledger.enlist(ready, LEASE)
        assert not ready.starting
    solo, worker = await stage.ledger.workers()
    assert (solo.worker, worker.worker) == (
        Worker("solo", None, alone=True),
        Worker("w", ("mail",)),
    )


async def test_late_word_that_a_worker_is_starting_takes_nothing_from_it(stage: Stage) -> None:
    for name, types in (("all", None), ("mail", ("mail",))):
        await stage.ledger.enlist(Worker(name, types), LEASE)
    stage.clock.advance(10)
    for name in ("all", "mail"):
        await stage.ledger.enlist(Worker(name, ()), LEASE)
    every, mail = await stage.ledger.workers()
    assert (every.worker, mail.worker) == (Worker("all"), Worker("mail", ("mail",)))
    assert every.lease_until == mail.lease_until == stage.clock() + LEASE


async def test_the_lease_of_one_that_starts_is_extended_by_saying_so_again(stage: Stage) -> None:
    await stage.ledger.enlist(Worker("w", ()), LEASE)
    stage.clock.advance(20)
    await stage.ledger.enlist(Worker("w", ()), LEASE)
    (worker,) = await stage.ledger.workers()
    assert (worker.worker, worker.lease_until) == (Worker("w", ()), stage.clock() + LEASE)
    stage.clock.advance(30)
    assert await stage.ledger.workers() == []


async def test_a_worker_whose_lease_is_over_is_shown_no_more(stage: Stage) -> None:
    await stage.submit("a")
    await stage.claim(1, worker="w1")
    stage.clock.advance(31)
    assert await stage.ledger.workers() == []


async def test_of_a_worker_that_runs_much_the_oldest_are_shown(stage: Stage) -> None:
    await stage.submit(*(f"task-{number:02}" for number in range(30)))
    for _ in range(30):
        await stage.claim(1)
        stage.clock.advance(0.1)
    (worker,) = await stage.ledger.workers()
    assert worker.count == 30
    shown = [run.task_id for run in worker.running]
    assert shown == [f"task-{number:02}" for number in range(MOST_SHOWN)]
