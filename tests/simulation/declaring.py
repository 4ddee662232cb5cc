"""The promise about effects that handlers declare: recorded at once, and each exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.simulation.facts import Facts
from tests.simulation.referee import Final
from tests.simulation.scenario import Scenario
from unlost.task import Micros

DECLARED = "9: what a handler says has happened is recorded at once, and once"

AT_ONCE: Micros = 10_000
"""What a call of the ledger takes, and the one that was under way before it."""

UNSURE = frozenset({"refused", "unknown", "late", "repeated", "slow", "pause"})
"""Faults that keep a call from the ledger, or its answer from who waits for it."""

NEVER: Micros = 10**18

_Key = tuple[str, int, int]
"""A task's id, the number of its attempt, and the effect's turn in it."""


def recorded(facts: Facts, scenario: Scenario, final: Final) -> Iterator[str]:
    """What is wrong with what handlers declared."""
    declared = {event.data[:3]: event for event in facts.events if event.what == "declares"}
    kept = Counter((of, one.attempt, one.turn, one.name) for of, one in final.effects)
    for effect in kept:
        if kept[effect] > 1 or effect not in {event.data for event in declared.values()}:
            yield f"{effect} is recorded {kept[effect]} times, and was not declared so often"
    times = _times(facts)
    for key, event in declared.items():
        end = facts.ends.get(event.who)
        record = final.records[key[0]]
        purged = record is None or record.purged_at is not None
        if event.data not in kept and not purged and (end is None or end.what != "crashed"):
            yield f"{event.data} was declared at {event.at}, and is not recorded"
        until = event.at + AT_ONCE
        if until < times.get(key, NEVER) and _sure(facts, scenario, event.who, event.at):
            yield f"{event.data} was declared at {event.at}, and recorded at {times.get(key)}"


def _times(facts: Facts) -> dict[_Key, Micros]:
    """When effects came to the ledger."""
    found: dict[_Key, Micros] = {}
    for event in facts.events:
        if event.what == "applied" and event.data[1] == "declare_effects":
            for one in event.data[2][0]:
                found.setdefault((one.task_id, one.attempt, one.turn), event.at)
    return found


def _sure(facts: Facts, scenario: Scenario, who: str, at: Micros) -> bool:
    """Whether nothing kept this process from recording at once what it was told then."""
    held_up = any(
        event.what == "paused" and event.who == who and event.at >= at for event in facts.events
    )
    end = facts.end_of(who)
    lived = end is None or end > at + AT_ONCE
    return lived and not held_up and UNSURE.isdisjoint(scenario.rates)
