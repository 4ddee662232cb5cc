"""Every ledger follows the one table: what it allows happens, what it leaves out is refused."""

from __future__ import annotations

from itertools import product

import pytest

from tests.conformance.stage import BOOM, Stage
from unlost.ledger.protocol import Refused
from unlost.ledger.values import Settlement
from unlost.task import TRANSITIONS, Event, Outcome, State

OUTCOMES = {
    Event.SUCCEED: Outcome.SUCCEEDED,
    Event.RETRY: Outcome.FAILED,
    Event.DIE: Outcome.FAILED,
    Event.RELEASE: Outcome.RELEASED,
}


async def attempt_event(stage: Stage, event: Event, token: str) -> bool:
    """Let `event` happen to task `a`; whether the ledger let it."""
    ledger = stage.ledger
    if event is Event.CLAIM:
        return bool(await stage.claim(9))
    if event in OUTCOMES:
        error = None if event in {Event.SUCCEED, Event.RELEASE} else BOOM
        settlement = Settlement("a", token, OUTCOMES[event], event, 0, error)
        return bool((await ledger.settle([settlement]))[0])
    act = {
        Event.CANCEL: ledger.cancel,
        Event.DISCARD: ledger.discard,
        Event.REDRIVE: ledger.redrive,
    }
    try:
        await act[event]("a", None, None)
    except Refused:
        return False
    return True


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
async def test_the_table_says_what_happens(stage: Stage, state: State, event: Event) -> None:
    token = await stage.into(state, "a")
    before = await stage.entry("a")
    stage.clock.advance(1)
    after = TRANSITIONS.get((state, event))
    assert await attempt_event(stage, event, token) is (after is not None)
    entry = await stage.entry("a")
    if after is None:
        assert entry == before
    else:
        assert entry.record.state is after
        assert entry.record.updated_at == stage.clock.now
