"""Pages of lists: the cursors that lead on, and the room that they fill."""

from __future__ import annotations

import tracemalloc
from collections.abc import Collection
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from tests.conformance.stage import BOOM, OTHER, Stage
from unlost import policy
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import EVERYTHING, Order, Part, Query
from unlost.ledger.weight import copy_weight, entry_weight, weight
from unlost.task import State


@pytest.mark.parametrize(
    "cursor", ["", "x", "0", "-1", "1-2-3", "💥", "submitted-1", "died-1", "9" * 5000, "s", "d1-"]
)
async def test_a_cursor_that_did_not_come_from_here_is_refused(stage: Stage, cursor: str) -> None:
    await stage.bury("a", "b")
    for order in Order:
        with pytest.raises(BadCursor):
            await stage.ledger.page(Query(order=order, cursor=cursor))


FILTERS: dict[str, tuple[Any, ...]] = {
    "state": tuple(State),
    "type": ("mail",),
    "types": (("mail",),),
    "id_prefix": ("b", "x"),
    "since": (0, 1 << 60),
    "until": (0, 1 << 60),
    "parent": ("a",),
    "error": ("E",),
}


async def test_such_a_cursor_is_refused_whatever_is_asked_for(stage: Stage) -> None:
    """Where nothing is found, too."""
    await stage.submit("a")
    for order, (name, values) in product(Order, FILTERS.items()):
        for wanted in values:
            query = replace(Query(order=order, cursor="x"), **{name: wanted})
            with pytest.raises(BadCursor):
                await stage.ledger.page(query)


async def test_a_cursor_of_another_kind_of_list_is_refused(stage: Stage) -> None:
    await stage.bury("a", "b")
    for order, other in ((Order.SUBMITTED, Order.DIED), (Order.DIED, Order.SUBMITTED)):
        page = await stage.ledger.page(Query(order=order, limit=1))
        assert page.next_cursor is not None
        with pytest.raises(BadCursor):
            await stage.ledger.page(Query(order=other, cursor=page.next_cursor))


async def of_different_weight(stage: Stage) -> None:
    """Five tasks, with all that a record can carry."""
    long = policy.error("Long", "m" * 3_000 + "é" * 300, "ü" * 4_000)
    await stage.submit("edited", payload='{"text": "' + "ä" * 400 + '"}')
    await stage.retry(await stage.run("edited"), error=long)
    await stage.die(await stage.run("edited"), long)
    await stage.ledger.redrive("edited", "ann", "ö" * 700, '{"text": "' + "x" * 9_000 + '"}')
    await stage.die(await stage.run("edited"), BOOM)
    await stage.submit("done", payload='{"text": "' + "y" * 6_000 + '"}')
    await stage.succeed(await stage.run("done"), '"' + "r" * 7_000 + '"')
    await stage.bury("small", error=OTHER)
    await stage.submit("cancelled", payload='{"n": 1}')
    await stage.ledger.cancel("cancelled", "bob", "why " * 200)
    await stage.submit("runs", payload='{"n": 2}')
    await stage.run("runs")


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("parts", [EVERYTHING, {Part.ATTEMPTS}, {Part.RESULT, Part.PAYLOAD}, ()])
async def test_a_page_ends_with_the_record_that_fills_its_room(
    stage: Stage, order: Order, parts: Collection[Part]
) -> None:
    await of_different_weight(stage)
    query = Query(order=order, parts=frozenset(parts))
    whole = await stage.ledger.page(query)
    weights = [weight(record) for record in whole.records]
    for number in range(1, len(weights) + 1):
        page = await stage.ledger.page(replace(query, room=sum(weights[:number])))
        assert page.records == whole.records[:number]
        assert page.cursors == whole.cursors[:number]
        barely = await stage.ledger.page(replace(query, room=sum(weights[: number - 1]) + 1))
        assert barely.records == page.records
        rest = await stage.ledger.page(replace(query, cursor=page.cursors[-1]))
        assert rest.records == whole.records[number:]
        assert page.next_cursor == (page.cursors[-1] if rest.records else whole.next_cursor)


async def test_entries_and_copies_end_with_the_one_that_fills_their_room(stage: Stage) -> None:
    await of_different_weight(stage)
    ledger = stage.ledger
    entries, copies = await ledger.entries(0, 10), await ledger.copies(0, 10)
    for number in range(1, 6):
        room = sum(entry_weight(entry) for entry in entries[:number])
        assert await ledger.entries(0, 10, room) == entries[:number]
        assert await ledger.entries(entries[number - 1].position, 10, 1) == entries[number:][:1]
        room = sum(copy_weight(copy) for copy in copies[:number])
        assert await ledger.copies(0, 10, room) == copies[:number]
        assert await ledger.copies(copies[number - 1][0], 10, 1) == copies[number:][:1]


async def test_no_more_is_read_than_there_is_room_for(stage: Stage) -> None:
    """15 MB are there; a read with room for half a megabyte takes a little more than that."""
    text = '{"text": "' + "x" * 250_000 + '"}'
    await stage.submit(*(f"t{number}" for number in range(60)), payload=text)
    query = Query(parts=frozenset({Part.PAYLOAD}), limit=1000, room=500_000)
    for read in (stage.ledger.page(query), stage.ledger.copies(0, 1000, 500_000)):
        tracemalloc.start()
        try:
            await read
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 10_000_000


async def test_entries_are_all_tasks_in_order_of_submission(stage: Stage) -> None:
    await stage.bury("a", "b", "c")
    await stage.submit("c", "d", "e")
    seen, position = [], 0
    while entries := await stage.ledger.entries(position, 2):
        assert len(entries) <= 2
        assert all(entry.position > position for entry in entries)
        seen += [entry.record.task_id for entry in entries]
        position = entries[-1].position
    assert seen == ["a", "b", "c", "d", "e"]


async def test_entries_carry_attempts_and_history_and_nothing_big(stage: Stage) -> None:
    await stage.bury("a", payload='{"n": 1}')
    await stage.ledger.redrive("a", "ann", "again")
    await stage.succeed(await stage.run("a"), '{"big": true}')
    whole = await stage.record("a")
    entry = await stage.entry("a")
    assert entry.record == replace(whole, payload=None, result=None)
