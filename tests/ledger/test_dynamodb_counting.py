"""The counters count each change once, however the stream brings it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.aws.emulator import Emulator
from tests.conformance.stage import Clock, Stage
from tests.ledger.patience import at_once
from tests.ledger.rough import Cut
from tests.ledger.tables import CountedLedger, Table
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.records import counting, folding
from unlost.ledger.dynamodb.schema import TASK
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import MINUTE
from unlost.task import SECOND, TERMINAL, TRANSITIONS, State

START = 28_000_000 * MINUTE
NEXT = {state: [new for (old, _), new in TRANSITIONS.items() if old is state] for state in State}
Records = list[dict[str, Any]]


@pytest.fixture
def table(emulator: Emulator) -> Iterator[Table]:
    with Table(emulator.url) as table:
        yield table


def image(state: State, submitted_at: int, updated_at: int) -> dict[str, Any]:
    return {
        "state": {"S": state.value},
        "submitted_at": {"N": str(submitted_at)},
        "updated_at": {"N": str(updated_at)},
    }


def history(seed: int, tasks: int, steps: int, pace: int = 20) -> Records:
    """What a stream tells of tasks that live at random; some steps change no state, and some
    records are of other items."""
    draw = random.Random(seed)
    now, records = START, Records()
    stand: dict[int, dict[str, Any]] = {}
    for number in range(steps):
        now += draw.randrange(pace * SECOND)
        task = draw.randrange(tasks)
        old = stand.get(task)
        told: dict[str, Any] = {}
        if old is None:
            new = image(State.QUEUED, now, now)
        else:
            states = NEXT[State(old["state"]["S"])]
            state = draw.choice(states) if states and draw.random() < 0.8 else old["state"]["S"]
            new = old | {"state": {"S": state}, "updated_at": {"N": str(now)}}
            told = {"OldImage": old}
        stand[task] = new
        told |= {
            "Keys": {"pk": {"S": f"t#{task}"}, "sk": {"S": TASK}},
            "NewImage": new,
            "SequenceNumber": f"{4_000_000_000_000_000_000_000 + number}",
            "ApproximateCreationDateTime": now / SECOND // 1,
        }
        records.append({"dynamodb": told})
        if draw.random() < 0.1:
            other = told | {"Keys": {"pk": {"S": "counts"}, "sk": {"S": "total#0"}}}
            records.append({"dynamodb": other | {"SequenceNumber": f"9{number}"}})
    return records


def recount(records: Records) -> tuple[Counter[str], Counter[int]]:
    """The sums from where the tasks stand in the end, and from each of their moves."""
    stand: dict[str, Any] = {}
    settled = 0
    for record in records:
        told = record["dynamodb"]
        if told["Keys"]["sk"]["S"] == TASK:
            new = told["NewImage"]
            before = told.get("OldImage", {}).get("state")
            settled += before != new["state"] and State(new["state"]["S"]) in TERMINAL
            stand[told["Keys"]["pk"]["S"]] = new
    sums = Counter(new["state"]["S"] for new in stand.values())
    minutes = Counter(int(new["submitted_at"]["N"]) // MINUTE for new in stand.values())
    return sums + Counter(accepted=len(stand), settled=settled), minutes


async def counted(calls: Calls) -> tuple[Counter[str], Counter[int]]:
    """The sums as the ledger has them."""
    counts = await counting.counts(calls, frozenset(), frozenset(), 0)
    sums = Counter({state.value: number for state, number in counts.states.items()})
    sums += Counter(accepted=counts.accepted, settled=counts.settled)
    return sums, Counter((await counting.cohorts(calls)).accepted)


def deliveries(data: st.DataObject, total: int) -> list[tuple[int, int]]:
    """Stretches of the stream in its order, with some of it brought again: the same stretch, a
    shorter one, a longer one, or cut elsewhere."""
    draw = data.draw
    cuts = sorted(draw(st.sets(st.integers(1, total - 1), max_size=6)))
    stretches = list(pairwise([0, *cuts, total]))
    brought: list[tuple[int, int]] = []
    for start, end in stretches:
        for _ in range(draw(st.integers(0, 2))):
            again = draw(st.integers(max(0, start - 5), start)), draw(st.integers(start, end))
            brought.append(again)
        brought.append((start, min(total, end + draw(st.integers(0, 5)))))
    return brought


@settings(
    derandomize=True,
    database=None,
    max_examples=25,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_the_sums_are_the_recount_however_the_stream_is_cut_and_repeated(
    emulator: Emulator, data: st.DataObject
) -> None:
    records = history(data.draw(st.integers(0, 10_000)), tasks=12, steps=60)
    brought = deliveries(data, len(records))

    async def run() -> None:
        with Table(emulator.url) as table:
            calls = Calls(table.name, table.client, shards=1)
            for start, end in brought:
                await counting.apply(calls, records[start:end])
            assert await counted(calls) == recount(records)
            calls.close()

    asyncio.run(run())


async def test_the_real_stream_counts_to_what_the_records_say(table: Table, clock: Clock) -> None:
    ledger = table.ledger(clock)
    stage = Stage(ledger, clock, opener(ledger))
    for state in State:
        await stage.into(state, state.value)
        clock.advance(40)
    await ledger.redrive("dead", None, None)
    await stage.succeed(await stage.run("dead"))
    records = [record for batch in table.stream.batches() for record in batch]
    for start in range(0, len(records), 3):
        await counting.apply(ledger._calls, records[start : start + 7])
    counts = await DynamoLedger.counts(ledger)
    there = Counter(entry.record.state for entry in await ledger.entries(0, 100))
    assert counts.states == {state: there[state] for state in State}
    assert (counts.accepted, counts.settled) == (6, 4)
    await ledger.close()


def opener(ledger: CountedLedger) -> Any:
    async def again() -> CountedLedger:
        return ledger

    return again


async def test_a_batch_whose_answer_was_lost_is_counted_once(table: Table) -> None:
    records = history(seed=1, tasks=10, steps=40)
    client = Cut(table.client)
    calls = Calls(table.name, client, shards=1, retrying=at_once())
    client.breaks = 1
    with pytest.raises(LedgerUnavailable):
        await counting.apply(calls, records)
    await counting.apply(calls, records[:25])
    await counting.apply(calls, records[10:])
    assert await counted(calls) == recount(records)
    calls.close()


async def test_two_who_count_the_same_at_once_count_it_once(table: Table) -> None:
    records = history(seed=2, tasks=10, steps=40)
    calls = [Calls(table.name, table.client, shards=1) for _ in range(4)]
    numbers = await asyncio.gather(*(counting.apply(one, records) for one in calls))
    assert sum(numbers) == len(folding.changes(records))
    assert await counted(calls[0]) == recount(records)
    for one in calls:
        one.close()


async def test_a_backlog_of_many_minutes_is_counted_in_transactions_that_fit(
    table: Table,
) -> None:
    records = history(seed=3, tasks=300, steps=400, pace=600)
    parts = list(folding.parts(folding.changes(records)))
    assert len(parts) > 1
    calls = Calls(table.name, table.client, shards=1)
    assert await counting.apply(calls, records) == sum(map(len, parts))
    assert await counted(calls) == recount(records)
    calls.close()


def test_a_record_that_is_broken_or_gone_leaves_its_state_and_stays_accepted() -> None:
    told = history(seed=0, tasks=1, steps=1)[0]["dynamodb"]
    broken = told | {"OldImage": told["NewImage"], "NewImage": {"state": {"S": "nonsense"}}}
    mended = told | {"OldImage": broken["NewImage"]}
    gone = {name: value for name, value in mended.items() if name != "NewImage"}
    gone |= {"OldImage": told["NewImage"]}
    steps = [told, broken, mended, gone]
    sums = [
        folding.fold(folding.changes({"dynamodb": step} for step in steps[:number])).totals
        for number in range(1, 5)
    ]
    assert [one["accepted"] for one in sums] == [1, 1, 1, 1]
    assert [one[State.QUEUED] for one in sums] == [1, 0, 1, 0]


async def test_rates_are_those_of_the_newest_minute_that_is_counted_whole(table: Table) -> None:
    minute = START // MINUTE
    records = history(seed=4, tasks=100, steps=200, pace=2)
    calls = Calls(table.name, table.client, shards=1)
    await counting.apply(calls, records)
    _, minutes = recount(records)
    now = START + counting.LAG + 59 * SECOND
    accepted, settled = await counting.rates(calls, now)
    assert accepted == minutes[minute] / 60
    assert settled > 0
    assert await counting.rates(calls, now + 3600 * SECOND) == (0.0, 0.0)
    calls.close()


async def test_a_change_between_two_broken_records_keeps_no_other_from_being_counted(
    table: Table,
) -> None:
    told = history(seed=0, tasks=1, steps=1)[0]["dynamodb"]
    broken = {"state": {"S": "nonsense"}}
    calls = Calls(table.name, table.client, shards=1)
    alone = told | {"OldImage": broken, "NewImage": broken, "SequenceNumber": "1"}
    assert await counting.apply(calls, [{"dynamodb": alone}]) == 1
    assert await counting.apply(calls, [{"dynamodb": told}]) == 1
    assert (await counting.counts(calls, frozenset(), frozenset(), 0)).accepted == 1
    calls.close()


async def test_changes_with_one_number_in_two_shards_of_the_stream_are_two(table: Table) -> None:
    one = history(seed=0, tasks=1, steps=1)[0]
    other = {"dynamodb": one["dynamodb"] | {"Keys": {"pk": {"S": "t#b"}, "sk": {"S": TASK}}}}
    calls = Calls(table.name, table.client, shards=1)
    for event, record in (("a", one), ("b", other), ("a", one)):
        await counting.apply(calls, [{"eventID": event, **record}])
    assert (await counting.counts(calls, frozenset(), frozenset(), 0)).accepted == 2
    calls.close()
