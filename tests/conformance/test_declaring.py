"""Effects that handlers declare: recorded whether their attempts run or not, each once."""

from __future__ import annotations

import pytest

from tests.conformance.stage import Stage, must_add_up
from unlost.effects import Effect
from unlost.ledger.protocol import BadCursor, Ledger
from unlost.ledger.values import Declared, NewEffect
from unlost.task import State


async def listed(ledger: Ledger, limit: int = 100) -> list[Declared]:
    """All that is recorded, page by page."""
    found: list[Declared] = []
    cursor: str | None = None
    while True:
        page = await ledger.list_effects(cursor, limit)
        assert len(page.effects) <= limit
        found += page.effects
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_effects_are_of_attempts_that_are_lost_too(stage: Stage) -> None:
    await stage.submit("a")
    first = await stage.run("a")
    at = stage.clock.now
    await stage.ledger.declare_effects([NewEffect("a", first.number, 1, "charged")])
    await stage.lose(first)
    stage.clock.advance(1)
    late = [NewEffect("a", first.number, 2, "mailed é\N{PILE OF POO}")]
    await stage.ledger.declare_effects(late)  # it may come after its attempt
    again = await stage.run("a")
    stage.clock.advance(1)
    await stage.ledger.declare_effects([NewEffect("a", again.number, 1, "charged")])
    await stage.succeed(again)
    expected = [
        Effect(1, 1, "charged", at),
        Effect(1, 2, "mailed é\N{PILE OF POO}", at + 1_000_000),
        Effect(2, 1, "charged", at + 2_000_000),
    ]
    assert await listed(stage.ledger) == [Declared("a", one) for one in expected]
    assert (await stage.entry("a")).declared == tuple(expected)
    [(_, copy)] = await stage.ledger.copies(0, 10)
    assert copy.declared == tuple(expected)
    await must_add_up(stage.ledger)


async def test_what_is_recorded_twice_is_there_once(stage: Stage) -> None:
    await stage.submit("a", "b")
    new = [NewEffect(one, 1, turn, f"n{turn}") for one in ("b", "a") for turn in (2, 1)]
    for one in "ab":
        await stage.run(one)
    at = stage.clock.now
    await stage.ledger.declare_effects([*new, *new])
    stage.clock.advance(1)
    await stage.ledger.declare_effects(new)
    found = await listed(stage.ledger)
    assert sorted(found, key=lambda one: (one.task_id, one.effect.turn)) == [
        Declared(task_id, Effect(1, turn, f"n{turn}", at)) for task_id in "ab" for turn in (1, 2)
    ]


async def test_nothing_is_recorded_of_a_task_that_is_not_there_or_is_purged(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    await stage.ledger.declare_effects([NewEffect("a", 1, 1, "charged"), NewEffect("?", 1, 1, "x")])
    await stage.succeed(attempt)
    assert [one.task_id for one in await listed(stage.ledger)] == ["a"]
    assert await stage.ledger.purge(stage.clock.advance(60), 10) == 1
    assert await listed(stage.ledger) == []
    await stage.ledger.declare_effects([NewEffect("a", 1, 2, "late")])
    assert await listed(stage.ledger) == []
    assert (await stage.record("a")).state is State.SUCCEEDED
    assert (await stage.entry("a")).declared == ()


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_they_are_listed_page_by_page_each_tasks_together(stage: Stage, limit: int) -> None:
    ids = [f"t{n}" for n in range(5)]
    await stage.submit(*ids)
    await stage.claim(5)
    new = [NewEffect(one, 1, turn, "x") for one in ids for turn in (1, 2, 3)]
    await stage.ledger.declare_effects(new)
    found = await listed(stage.ledger, limit)
    assert len(found) == len({(one.task_id, one.effect.turn) for one in found}) == len(new)
    order = [one.task_id for one in found]
    assert [one.effect.turn for one in found] == [1, 2, 3] * 5
    assert order == [one for one in dict.fromkeys(order) for _ in range(3)]


async def test_another_ones_cursor_is_refused(stage: Stage) -> None:
    for cursor in ("", "x", "1-2", "07#x"):
        with pytest.raises(BadCursor):
            await stage.ledger.list_effects(cursor, 10)
