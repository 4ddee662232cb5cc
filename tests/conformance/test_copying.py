"""A ledger's tasks kept by another ledger: all that belongs to them comes along, and goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from tests.conformance.crowd import CROWD, INTEGERS, crowd, started
from tests.conformance.sameness import by_task, without_position, without_sample
from tests.conformance.stage import BOOM, OTHER, Clock, Stage, must_add_up, submission
from unlost.effects import taken_along
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import (
    EVERYTHING,
    Claim,
    Claimed,
    Copy,
    Order,
    Query,
    Report,
    Settled,
    Settlement,
    Verdict,
    Worker,
)
from unlost.policy import WORKER_LOST, Limits
from unlost.task import SECOND, TERMINAL, Event, Outcome, State

T = TypeVar("T")
LIMITS = Limits(5, 60.0)


@pytest.fixture
def memory(clock: Clock) -> MemoryLedger:
    return MemoryLedger(clock)


async def copies(ledger: Ledger, limit: int = 1000) -> list[Copy]:
    """All of them, page by page, in order."""
    found: list[Copy] = []
    position = 0
    while page := await ledger.copies(position, limit):
        assert len(page) <= limit
        assert [at for at, _ in page] == sorted({at for at, _ in page})
        assert page[0][0] > position
        position = page[-1][0]
        found += [copy for _, copy in page]
    return found


async def contents(ledger: Ledger) -> dict[str, Any]:
    """All that can be read of a ledger, but for what may differ."""
    counts = await ledger.counts()
    return {
        "copies": [_with_moved_key(copy) for copy in await copies(ledger)],
        "entries": [without_position(entry) for entry in await ledger.entries(0, 1000)],
        "tasks": (await ledger.page(Query(limit=200, parts=EVERYTHING))).records,
        "states": [(await ledger.page(Query(state=state, limit=200))).records for state in State],
        "dead": (await ledger.page(Query(order=Order.DIED, limit=200))).records,
        "boom": (await ledger.page(Query(order=Order.DIED, error=BOOM.fingerprint))).records,
        "other": (await ledger.page(Query(order=Order.DIED, error=OTHER.type))).records,
        "groups": [without_sample(group) for group in await ledger.groups()],
        "counts": replace(counts, position=0, settled=0),
        "held": by_task(await ledger.held(None)),
        "due": [await ledger.due_in(None, alone=alone) for alone in (False, True)],
    }


def _with_moved_key(copy: Copy) -> Copy:
    """Tasks that were not moved have keys of their ledger's own."""
    return replace(copy, effects=None) if copy.record.task_id == "new" else copy


async def must_be_alike(*ledgers: Ledger) -> None:
    first, *rest = [await contents(ledger) for ledger in ledgers]
    for other in rest:
        for name, found in other.items():
            assert found == first[name], name


async def all_say(step: Callable[[Ledger], Awaitable[T]], *ledgers: Ledger) -> T:
    """What all answer alike."""
    first, *rest = [await step(ledger) for ledger in ledgers]
    assert rest == [first] * len(rest)
    return first


async def test_all_that_is_kept_of_every_kind_of_task_is_kept_by_another(
    stage: Stage, memory: Ledger, other: Ledger
) -> None:
    await crowd(stage)
    given = await copies(stage.ledger)
    assert len(given) == CROWD
    assert await copies(stage.ledger, limit=4) == given
    assert await memory.restore(given) == [Verdict.ACCEPTED] * CROWD
    assert await other.restore(await copies(memory)) == [Verdict.ACCEPTED] * CROWD
    await must_be_alike(stage.ledger, memory, other)
    for ledger in (stage.ledger, memory, other):
        await must_add_up(ledger)
    settled = sum(copy.record.state in TERMINAL for copy in given)
    assert await all_say(_settled, memory, other) == settled


async def test_a_list_of_what_succeeded_has_what_was_purged_before_it_was_restored(
    stage: Stage, other: Ledger
) -> None:
    for name in ("a", "b"):
        await stage.into(State.SUCCEEDED, name)
    assert await stage.ledger.purge(stage.clock.advance(60), 100) == 2
    await stage.submit("waits")
    await other.restore(await copies(stage.ledger))
    page = await other.page(Query(state=State.SUCCEEDED))
    assert [record.task_id for record in page.records] == ["b", "a"]


async def _settled(ledger: Ledger) -> int:
    return (await ledger.counts()).settled


async def test_what_is_restored_goes_on_as_the_original_would(
    stage: Stage, memory: Ledger, other: Ledger
) -> None:
    await crowd(stage)
    await other.restore(await copies(stage.ledger))
    await memory.restore(await copies(other))
    ledgers = (memory, stage.ledger, other)
    deaths = await all_say(_reports, *ledgers)
    assert len({report.task_id for report in deaths}) == len(deaths) - 1 > 3
    await _reap(*ledgers)
    await _act(stage, *ledgers)
    await must_be_alike(*ledgers)
    stage.clock.advance(3_600)
    claimed = await _claim_all(*ledgers)
    (edited,) = [attempt for attempt in claimed if attempt.task_id == "edited"]
    (integers,) = [attempt for attempt in claimed if attempt.task_id == "queued"]
    assert (edited.payload, integers.payload) == ('{"edited": true}', INTEGERS)
    ends = [_end(one, Outcome.SUCCEEDED, Event.SUCCEED) for one in claimed]
    assert all(await all_say(lambda ledger: ledger.settle(ends), *ledgers))
    await must_be_alike(*ledgers)


async def _reports(ledger: Ledger) -> list[Report]:
    found = [replace(report, id=0) for report in await ledger.claim_reports(100, SECOND)]
    return sorted(found, key=lambda report: (report.died_at, report.task_id))


async def _reap(*ledgers: Ledger) -> None:
    """What ran under workers that are gone is found, and lost by the usual decision."""
    held = await all_say(_lost, *ledgers)
    assert [one.task_id for one in held] == ["running", "running again", "running alone"]
    ends = [
        Settlement(one.task_id, one.token, Outcome.LOST, Event.RETRY, SECOND, WORKER_LOST)
        for one in held
    ]
    assert await all_say(lambda ledger: ledger.settle(ends), *ledgers) == [Settled.HELD] * 3
    assert await all_say(lambda ledger: ledger.settle(ends), *ledgers) == [Settled.REFUSED] * 3


async def _lost(ledger: Ledger) -> list[Any]:
    return by_task(await ledger.held(None))


async def _act(stage: Stage, *ledgers: Ledger) -> None:
    for ledger in ledgers:
        await ledger.submit([submission("new"), submission("queued", type="queued", payload="0")])
        await ledger.cancel("retrying", "ann", "enough")
        await ledger.discard("dead twice", None, None)
        page = await ledger.page(Query(order=Order.DIED, limit=1000))
        assert len(page.records) == 6
        for record in page.records:
            await ledger.redrive(record.task_id, "ann", "again")
        assert await ledger.purge(stage.clock.now - SECOND, 100) > 3


async def _claim_all(*ledgers: Ledger) -> list[Claimed]:
    claimed: list[Claimed] = []
    for alone in (False, True):
        worker = Worker(f"alone {alone}", None, alone)
        tokens = [f"fresh {alone} {number}" for number in range(30)]
        claim = Claim(worker.id, tokens, None, LIMITS, alone)
        for ledger in ledgers:
            await ledger.enlist(worker, SECOND)
        claimed += await all_say(partial(_claim, claim=claim), *ledgers)
    return claimed


async def _claim(ledger: Ledger, claim: Claim) -> list[Claimed]:
    """What is claimed, each with its effect key, wherever that comes from."""
    secret = await ledger.effect_secret()
    claimed = await ledger.claim(claim)
    return [one if one.task_id == "new" else _with_key(one, secret) for one in claimed]


def _with_key(one: Claimed, secret: bytes) -> Claimed:
    along = taken_along(one.effects, secret, one.task_id, one.submitted_at, over=False)
    return replace(one, effects=along)


def _end(attempt: Claimed, outcome: Outcome, event: Event) -> Settlement:
    return Settlement(attempt.task_id, attempt.token, outcome, event)


async def few(stage: Stage) -> list[Copy]:
    """Copies of one that waits, one that runs and one that is dead."""
    await stage.submit("waits", priority=3)
    await started(stage, "runs")
    await stage.die(await started(stage, "dead"))
    return await copies(stage.ledger)


async def test_what_is_there_already_is_a_replay_and_stays(stage: Stage, other: Ledger) -> None:
    given = await few(stage)
    assert await other.restore(given[:2]) == [Verdict.ACCEPTED] * 2
    await other.cancel("runs", "ann", "while it was moved")
    before = await contents(other)
    expected = [Verdict.REPLAYED, Verdict.REPLAYED, Verdict.ACCEPTED]
    assert await other.restore(given) == expected
    assert (await contents(other))["copies"][:2] == before["copies"]
    after = await contents(other)
    assert await other.restore(given) == [Verdict.REPLAYED] * 3
    assert await contents(other) == after


async def test_another_task_under_the_same_id_is_a_conflict(stage: Stage, other: Ledger) -> None:
    one, two, three = await few(stage)
    strange = replace(three, record=replace(three.record, digest=b"strange", type="strange"))
    verdicts = await other.restore([one, strange, three, two, one])
    assert verdicts == [
        Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.CONFLICT, Verdict.ACCEPTED, Verdict.REPLAYED,
    ]  # fmt: skip
    kept = {copy.record.task_id: copy for copy in await copies(other)}
    assert kept == {copy.record.task_id: copy for copy in (one, strange, two)}
    same = submission("waits", priority=3)
    different = submission("waits", priority=4)
    answers = [answer.verdict for answer in await other.submit([same, different])]
    assert answers == [Verdict.REPLAYED, Verdict.CONFLICT]


async def test_what_runs_may_still_be_settled_by_its_token(stage: Stage, other: Ledger) -> None:
    await other.restore(await few(stage))
    (held,) = await other.held(None)
    assert (held.task_id, held.worker) == ("runs", "gone")
    assert await other.dropped({held.token: "runs", "stale": "runs"}) == ["stale"]
    end = Settlement("runs", held.token, Outcome.SUCCEEDED, Event.SUCCEED, result='"done"')
    assert await other.settle([end]) == [Settled.HELD]
    record = await other.get("runs")
    assert record is not None
    assert (record.state, record.result) == (State.SUCCEEDED, '"done"')


async def test_nothing_to_restore_is_nothing(stage: Stage) -> None:
    assert await stage.ledger.restore([]) == []
    assert await stage.ledger.copies(0, 10) == []


async def test_a_large_number_is_restored_in_one_call_and_stays(
    stage: Stage, memory: Ledger
) -> None:
    most = stage.many(1_100)
    await memory.submit([submission(f"t{number}") for number in range(most)])
    given = await copies(memory)
    assert await stage.ledger.restore(given) == [Verdict.ACCEPTED] * most
    await stage.reopen()
    assert await copies(stage.ledger) == given
