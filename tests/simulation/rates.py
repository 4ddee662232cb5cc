"""No more attempts start than the rates allow that were set, told from the starts alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.simulation.facts import Facts
from tests.simulation.rules import a_second
from tests.simulation.scenario import Rule, Scenario
from tests.simulation.world import EPOCH
from unlost.task import SECOND, Micros

Period = tuple[Micros, Micros, float]
"""From when and until when a rate held."""


def kept_to(facts: Facts, scenario: Scenario) -> Iterator[str]:
    """In any time no more of a type, or of a key, start than its share and one burst."""
    starts: defaultdict[tuple[str, str, str | None], list[Micros]] = defaultdict(list)
    for story in facts.accepted:
        task = story.submission
        for attempt in story.attempts.values():
            starts["rate", task.type, None].append(attempt.at)
            if task.key is not None:
                starts["keyRate", task.type, task.key].append(attempt.at)
    for (what, name, key), times in starts.items():
        for period in _periods(scenario, what, name):
            for told in _too_many(sorted(times), period):
                yield f"of {name}{'' if key is None else f' with the key {key}'} {told}"


def _periods(scenario: Scenario, what: str, name: str) -> Iterator[Period]:
    """What is set again as it was goes on."""
    rules = [rule for rule in scenario.rules if (rule.what, rule.type) == (what, name)]
    firsts: list[Rule] = []
    for rule in rules:
        if not firsts or firsts[-1].number != rule.number:
            firsts.append(rule)
    ends = [*(_time(rule.at) for rule in firsts[1:]), _time(scenario.window)]
    for rule, end in zip(firsts, ends, strict=False):
        yield _time(rule.at), end, a_second(rule)


def _time(seconds: float) -> Micros:
    return EPOCH + round(seconds * SECOND)


def _too_many(times: list[Micros], period: Period) -> Iterator[str]:
    """What started in the very microsecond of a change may have been before or after it."""
    began, ended, rate = period
    within = [at for at in times if began < at < ended]
    for first, begin in enumerate(within):
        for last, end in enumerate(within[first:], 1):
            seconds = (end - begin) / SECOND
            if last > rate * seconds * 1.0001 + max(1, int(rate)):
                yield f"{last} started in {seconds:g} s, at {rate:g} a second"
                return
