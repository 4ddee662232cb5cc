"""Several ledgers on one database at once: no task twice, one winner an id, and it adds up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from tests.api.checks import until
from tests.conformance.stage import BOOM, LEASE, Stage, ended, must_add_up, submission
from tests.postgres.databases import Database
from unlost.audit import audit
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.schema import SLOTS
from unlost.ledger.postgres.tasks import acts
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Claim, Query, Settlement, Verdict, Worker
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.task import SECOND, Event, Outcome, State
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF
from unlost.worker import attempt
from unlost.worker.settling.reaping import Reaping

LIMITS = Limits(2, 60.0)


async def drain(ledger: Ledger, worker: str, draw: random.Random) -> list[str]:
    """Claim and settle until nothing is left; the ids, as often as they were claimed."""
    await ledger.enlist(Worker(worker), 10 * LEASE)
    seen: list[str] = []
    for turn in range(10_000):
        tokens = [f"{worker}-{turn}-{number}" for number in range(draw.randint(1, 9))]
        claimed = await ledger.claim(Claim(worker, tokens, None, LIMITS))
        if not claimed and await ledger.due_in(None) is None:
            break
        seen += [attempt.task_id for attempt in claimed]
        ends = [
            ended(attempt, Outcome.FAILED, Event.DIE, error=BOOM)
            if draw.random() < 0.3
            else ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED, result="1")
            for attempt in claimed
        ]
        assert all(await ledger.settle(ends))
    return seen


async def test_workers_that_race_never_share_a_task(alone: Stage) -> None:
    others = [alone.ledger, await alone.another(), await alone.another()]
    for priority in (0, 5):
        await alone.submit(*(f"t{priority}-{n}" for n in range(150)), priority=priority)
    await alone.submit(*(f"m{n}" for n in range(100)), type="mail")
    draw = random.Random(7)
    seen = await asyncio.gather(
        *(
            drain(ledger, f"w{home}-{number}", random.Random(draw.random()))
            for home, ledger in enumerate(others)
            for number in range(2)
        )
    )
    claimed = Counter(task_id for ids in seen for task_id in ids)
    assert len(claimed) == 400
    assert set(claimed.values()) == {1}
    assert sum(1 for ids in seen if ids) > 1, "one worker took everything"


async def test_a_claim_gets_its_fill_while_others_claim(alone: Stage) -> None:
    await alone.submit(*(f"t{number}" for number in range(300)))
    other = await alone.another()
    await alone.ledger.enlist(Worker("w"), LEASE)
    answers = await asyncio.gather(
        *(
            ledger.claim(Claim("w", alone.tokens(10), None, LIMITS))
            for ledger in (alone.ledger, other) * 10
        )
    )
    assert [len(claimed) for claimed in answers] == [10] * 20


async def test_each_id_has_one_winner(alone: Stage) -> None:
    ledgers = [alone.ledger, await alone.another(), await alone.another()]
    ids = [f"t{number}" for number in range(40)]
    draw = random.Random(3)

    async def submit(ledger: Ledger, payload: str) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        order = draw.sample(ids, len(ids))
        for start in range(0, len(order), 8):
            some = order[start : start + 8]
            answers = await ledger.submit([submission(one, payload) for one in some])
            for one, answer in zip(some, answers, strict=True):
                found[one, answer.verdict] += 1
        return found

    payloads = ['{"n":1}', '{"n":2}']
    found: Counter[tuple[str, str]] = sum(
        await asyncio.gather(
            *(submit(ledger, payload) for ledger in ledgers for payload in payloads)
        ),
        Counter(),
    )
    for one in ids:
        assert found[one, Verdict.ACCEPTED] == 1
        assert found[one, Verdict.REPLAYED] == 2
        assert found[one, Verdict.CONFLICT] == 3


PUT_IN = """
INSERT INTO unlost.task (submitted_at, updated_at, priority, id, type, digest)
VALUES (0, 0, 0, %s, 'default', %s)
"""

SUBMITS_WAIT = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'unnest'
"""


COUNTERS = "SELECT slot FROM unlost.tally FOR UPDATE SKIP LOCKED"


async def test_who_loses_a_race_for_an_id_finds_it_there_and_loses_none_soon_after(
    database: Database,
) -> None:
    ledger = await database.ledger()
    errors = database.server.output.read_text().count("task_id")
    with database.connect() as db, database.connect() as watching:
        for turn in ("first", "second"):
            new = [submission(f"{turn}-{n}") for n in range(3)]
            with db.transaction():
                db.execute(PUT_IN, [f"{turn}-1", new[1].digest])
                answering = asyncio.create_task(ledger.submit(new))
                await until(lambda: watching.execute(SUBMITS_WAIT).fetchone() == (1,))
                assert len(watching.execute(COUNTERS).fetchall()) == SLOTS  # others go on
            verdicts = [answer.verdict for answer in await answering]
            assert verdicts == [Verdict.ACCEPTED, Verdict.REPLAYED, Verdict.ACCEPTED]
        assert (await ledger.counts()).accepted == 4
    await ledger.close()
    assert database.server.output.read_text().count("task_id") == errors + 1


async def test_an_attempt_is_settled_once_though_two_try(alone: Stage) -> None:
    await alone.submit(*(f"t{number}" for number in range(50)))
    claimed = await alone.claim(50)
    other = await alone.another()
    mine = [ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED) for attempt in claimed]
    reaped = [
        Settlement(one.task_id, one.token, Outcome.LOST, Event.RETRY, SECOND, BOOM)
        for one in reversed(claimed)
    ]
    first, second = await asyncio.gather(alone.ledger.settle(mine), other.settle(reaped))
    assert [a != b for a, b in zip(first, reversed(second), strict=True)] == [True] * 50


async def test_people_and_workers_at_once_leave_one_truth(alone: Stage) -> None:
    other = await alone.another()
    await alone.submit(*(f"t{number}" for number in range(30)))
    claimed = await alone.claim(30)
    await asyncio.gather(
        alone.ledger.settle(
            [ended(attempt, Outcome.FAILED, Event.DIE, error=BOOM) for attempt in claimed]
        ),
        *(other.cancel(f"t{number}", None, None) for number in range(0, 30, 3)),
        return_exceptions=True,
    )
    counts = await alone.ledger.counts()
    assert counts.states[State.DEAD] + counts.states[State.CANCELLED] == 30
    redrives = await asyncio.gather(
        *(
            ledger.redrive(f"t{number}", None, None)
            for ledger in (alone.ledger, other)
            for number in range(30)
        ),
        return_exceptions=True,
    )
    assert redrives.count(None) == counts.states[State.DEAD]
    await must_add_up(other)


async def test_the_audit_holds_beside_live_traffic(database: Database) -> None:
    ledgers = [await database.ledger() for _ in range(3)]
    busy = True

    async def submit(ledger: Ledger, name: str) -> None:
        number = 0
        while busy:
            some = [submission(f"{name}-{number + one}") for one in range(random.randint(1, 20))]
            await ledger.submit(some)
            number += len(some)
            await asyncio.sleep(0)

    async def work(ledger: Ledger, name: str) -> None:
        while busy:
            await drain(ledger, name, random.Random(5))

    traffic = [asyncio.create_task(submit(one, f"s{n}")) for n, one in enumerate(ledgers)]
    traffic += [asyncio.create_task(work(one, f"w{n}")) for n, one in enumerate(ledgers[:2])]
    for _ in range(8):
        found = await audit(ledgers[2])
        assert found.ok, found.violations
        counts = await ledgers[1].counts()
        assert counts.accepted == sum(counts.states.values())
    busy = False
    await asyncio.gather(*traffic)
    await must_add_up(ledgers[0])
    walked = (await ledgers[0].page(Query(limit=1000))).records
    times = [record.submitted_at for record in walked]
    assert times == sorted(times, reverse=True)
    await asyncio.gather(*(ledger.close() for ledger in ledgers))


@pytest.mark.soak
async def test_a_lost_task_that_another_session_has_locked_keeps_no_other_from_being_reaped(
    alone: Stage, database: Database
) -> None:
    await alone.submit("a", "b", "c")
    await alone.claim(3, worker="lost")
    alone.clock.advance(LEASE / SECOND)
    reaping = Reaping(
        alone.ledger, Settings(), attempt.draws(1, random.Random(1)), Recorder(), OFF, Log("test")
    )
    with database.connect() as db, db.transaction():
        db.execute(
            "SELECT FROM unlost.open_task JOIN unlost.task USING (seq) WHERE id = 'a' FOR UPDATE"
        )
        left = await alone.ledger.held(None)
        with pytest.raises(LedgerUnavailable):
            await reaping.settle(left, lambda _: attempt.LOST)
        assert [one.task_id for one in await alone.ledger.held(None)] == ["a"]
    await reaping.settle(await alone.ledger.held(None), lambda _: attempt.LOST)
    assert await alone.ledger.held(None) == []


REVIVED = """
UPDATE unlost.task SET state = NULL WHERE id = 't';
INSERT INTO unlost.open_task (seq, due_at, updated_at, attempt_count, spent, rank, state, type)
SELECT seq, 0, 0, 1, 1, 0, 'queued', type FROM unlost.task WHERE id = 't';
DELETE FROM unlost.dead;
UPDATE unlost.tally SET dead = dead - 1, queued = queued + 1
WHERE slot = (SELECT min(slot) FROM unlost.tally);
"""

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'FOR UPD'"


async def test_who_looks_at_a_task_again_holds_nothing_that_a_settlement_waits_for(
    alone: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is redriven while it is looked at: its rows are locked in one order, always."""
    await alone.bury("t")
    looks: list[object] = []
    free: list[str] = []

    async def look(transaction: Transaction, task_id: str) -> Any:
        looks.append(await looked(transaction, task_id))
        if looks[-1] is None:
            await transaction.rows("SELECT")  # what was asked of the server is done by now
            with database.connect() as db, db.transaction():
                db.execute("SELECT FROM unlost.open_task FOR UPDATE NOWAIT")
                db.execute("SELECT FROM unlost.task FOR UPDATE NOWAIT")
            free.append("both")
        return looks[-1]

    looked = acts._look
    monkeypatch.setattr(acts, "_look", look)
    with database.connect() as watcher, database.connect() as db, db.transaction():
        db.execute("SELECT FROM unlost.task WHERE id = 't' FOR UPDATE")
        cancelling = asyncio.create_task(alone.ledger.cancel("t", None, None))
        await until(lambda: watcher.execute(WAITS).fetchone() == (1,))
        db.execute(REVIVED)
    await cancelling
    assert ([one is None for one in looks], free) == ([True, False], ["both"])
    assert (await alone.record("t")).state is State.CANCELLED
