"""The promises about workers' leases: only the dead are lost, and what lost its task is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.simulation.facts import Attempt, Facts
from tests.simulation.history import UNKNOWN, Event
from tests.simulation.scenario import Scenario
from tests.simulation.world import EPOCH
from unlost.ledger.values import Pull, Pulled
from unlost.task import SECOND, Micros, Outcome

TOLD_WITHIN: Micros = round(5.3 * SECOND)
"""The contract's five seconds, and what skewed clocks and travel add."""


def only_the_dead_are_lost(facts: Facts, scenario: Scenario) -> Iterator[str]:
    """An attempt is lost only if its worker's lease was over, or the worker was seen to end."""
    watch = _Watch(facts)
    for event in facts.events:
        if event.what == "heard":
            watch.heard(event)
        elif event.what in ("crashed", "exited"):
            watch.end(event.who)
        elif event.what == "applied" and not isinstance(event.data[3], Exception):
            yield from watch.applied(event)


class _Watch:
    """What is known, at a moment of the history, of who lives and who may say of whom that not."""

    def __init__(self, facts: Facts) -> None:
        self.ended: set[str] = set()
        self._facts = facts
        self._leases: dict[str, Micros] = {}
        self._pulling: set[str] = set()
        self._asked: dict[int, str | None] = {}  # calls of `held`: about which worker
        self._over: set[tuple[str, str]] = set()  # (who, token): told that its lease is over
        self._seen: set[tuple[str, str]] = set()  # (who, token): told that its worker holds it

    def heard(self, event: Event) -> None:
        call, method, answer = event.data
        if method == "held" and answer is not UNKNOWN:
            known = self._over if self._asked[call] is None else self._seen
            known |= {(event.who, one.token) for one in answer}

    def end(self, process: str) -> None:
        """Nobody sees the end of a worker that claims by the API."""
        if process not in self._pulling:
            self.ended.add(process)

    def applied(self, event: Event) -> Iterator[str]:
        call, method, args, answer = event.data
        if method == "held":
            self._asked[call] = args[0]
            if args[0] is None:
                yield from self._check_over(event.at, answer)
        elif method == "enlist":
            self._leases[args[0].id] = event.at + args[1]
        elif method == "extend":
            self._leases |= dict.fromkeys(answer, event.at + args[1])
        elif method == "pull":
            self._pulled(event.at, args[0], answer)
        elif method == "prolong":
            self._leases[args[0]] = event.at + args[2]
        elif method == "settle":
            for end, held in zip(args[0], answer, strict=True):
                if held and end.outcome is Outcome.LOST:
                    yield from self._check_lost(event.who, self._facts.tokens.get(end.token))

    def _pulled(self, now: Micros, wanted: Pull, answer: Pulled) -> None:
        worker = wanted.claim.worker
        self._pulling.add(worker)
        if not wanted.waits or (answer.attempts and not answer.again):
            self._leases[worker] = max(self._leases.get(worker, 0), now + wanted.lease)

    def _check_over(self, now: Micros, answer: Any) -> Iterator[str]:
        for one in answer:
            if self._leases.get(one.worker, 0) > now and one.worker not in self.ended:
                yield f"{one.worker} is said to be lost while its lease runs"

    def _check_lost(self, who: str, attempt: Attempt | None) -> Iterator[str]:
        if attempt is None or (who, attempt.claimed.token) in self._over:
            return
        if (who, attempt.claimed.token) not in self._seen or attempt.worker not in self.ended:
            yield f"{attempt.name} was lost by {who}, who had not seen its worker end"
        elif "leaving" in self._facts.orders.get(attempt.worker, ()):
            yield f"{attempt.name} was lost though its worker ended in order"


def told_in_time(facts: Facts, scenario: Scenario) -> Iterator[str]:
    """A handler whose attempt no longer runs is told within five seconds, faults apart."""
    over = facts.events[-1].at
    calm = EPOCH + round(scenario.last_fault * SECOND)
    for attempt in facts.tokens.values():
        if attempt.fenced is None or not attempt.starts or attempt.pulled:
            continue
        limit = max(attempt.fenced, attempt.starts[0][0], calm) + TOLD_WITHIN
        ends = (*attempt.told[:1], attempt.ended, facts.end_of(attempt.worker))
        if limit > over or any(end is not None and end <= limit for end in ends):
            continue
        if "paused" not in facts.orders.get(attempt.worker, ()):
            yield f"the handler of {attempt.name} was not told that its attempt is over"
