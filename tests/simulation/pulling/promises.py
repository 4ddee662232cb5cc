"""What is promised of workers that claim by the API, beyond what holds for all attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.simulation.facts import Facts
from tests.simulation.history import Event
from tests.simulation.pulling.telling import gone_is_told, results_are_true
from tests.simulation.pulling.waiting import claims_that_wait, waits
from tests.simulation.scenario import PER_CALL, Scenario
from tests.simulation.world import EPOCH
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.values import Pull, Pulled
from unlost.limits.control import Claimant
from unlost.task import SECOND, Micros, Outcome

AGAIN = "10: a claim that comes again gives the same attempts"
ALONE = "10: what comes alone comes to a worker that holds nothing, and nothing beside it"
LEASE = "10: what a lease held that is over does not come back"
MARKED = "10: nobody else takes what is left to workers that claim by the API"
TIMES = "10: no attempt outlasts its time"
GONE = "10: who asks is told what runs no more, and of nothing else"
STARVES = "10: what was lost comes to run also where all workers are busy"
WAITS = "10: a claim that waits gives what is due within a second"
SETTLED = "10: what is said of a settlement is true"

HELD_BACK: Micros = 20 * SECOND
LOOKED: Micros = round(1.3 * SECOND)


class _Account:
    """Who holds what, and for how long, at a moment of the history."""

    def __init__(self) -> None:
        self.until: dict[str, Micros] = {}  # leases
        self.running: dict[str, tuple[str, str, bool]] = {}  # by token: task, worker, alone
        self.given: dict[str, list[str]] = {}  # tokens, by what the claim is known by

    def held(self, worker: str) -> list[bool]:
        """Of each attempt that a worker holds whether it runs alone."""
        return [alone for _, by, alone in self.running.values() if by == worker]

    def take(self, event: Event) -> Iterator[tuple[str, str]]:
        """What is wrong with a step of the ledger; and let it have happened."""
        _, name, args, answer = event.data
        if name == "pull":
            yield from self._pulled(event.at, args[0], answer)
        elif name == "prolong":
            yield from self._prolonged(event.at, args[0], args[2], answer)
        elif isinstance(answer, Exception):
            return
        elif name == "claim":
            for one in answer:
                self.running[one.token] = (one.task_id, args[0].worker, args[0].alone)
        elif name == "settle":
            for end, held in zip(args[0], answer, strict=True):
                if held:
                    self.running.pop(end.token, None)
        elif name == "cancel":
            self.running = {token: one for token, one in self.running.items() if one[0] != args[0]}

    def _prolonged(
        self, now: Micros, worker: str, lease: Micros, answer: Any
    ) -> Iterator[tuple[str, str]]:
        is_over = self.until.get(worker, 0) <= now
        if isinstance(answer, LeaseOver):
            if not is_over:
                yield LEASE, f"{worker} is told that its lease is over, and it is not"
            return
        if is_over:
            yield LEASE, f"the lease of {worker} was over, and was prolonged"
        self.until[worker] = now + lease

    def _pulled(self, now: Micros, wanted: Pull, answer: Any) -> Iterator[tuple[str, str]]:
        worker, held = wanted.claim.worker, self.held(wanted.claim.worker)
        is_over = self.until.get(worker, 0) <= now
        if isinstance(answer, Exception):
            if not is_over:
                yield LEASE, f"{worker} is told that its lease is over, and it is not"
            return
        if is_over and wanted.waits:
            yield LEASE, f"a claim of {worker} went on waiting after its lease"
        if is_over and held:
            yield LEASE, f"{worker} has a lease again, and what it held before"
        yield from self._comes_again(wanted, answer)
        if not answer.again:
            yield from self._comes_alone(worker, held, answer)
        for one in answer.attempts:
            self.running[one.token] = (one.task_id, worker, answer.alone)
        tokens = self.given.setdefault(wanted.known_by, [])
        tokens += [one.token for one in answer.attempts if one.token not in tokens]
        if not wanted.waits or (answer.attempts and not answer.again):
            self.until[worker] = max(self.until.get(worker, 0), now + wanted.lease)

    def _comes_again(self, wanted: Pull, answer: Pulled) -> Iterator[tuple[str, str]]:
        known = [one for one in self.given.get(wanted.known_by, ()) if one in self.running]
        now = [one.token for one in answer.attempts]
        if (known or answer.again) and (sorted(known) != sorted(now) or not answer.again):
            yield AGAIN, f"a claim of {wanted.claim.worker} gave {known}, and then {now}"

    def _comes_alone(
        self, worker: str, held: list[bool], answer: Pulled
    ) -> Iterator[tuple[str, str]]:
        if answer.alone and (held or len(answer.attempts) > 1):
            yield ALONE, f"{worker} held {len(held)}, and got {len(answer.attempts)} alone"
        if any(held) and answer.attempts:
            yield ALONE, f"{worker} runs what is alone, and got {len(answer.attempts)} more"


def held_rightly(facts: Facts, scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Leases, claims that come again, and what runs alone."""
    account = _Account()
    for event in facts.events:
        if event.what == "applied":
            yield from account.take(event)


def left_to_them(facts: Facts, scenario: Scenario) -> Iterator[tuple[str, str]]:
    """No worker over the ledger takes a task while its type is marked."""
    for event in facts.events:
        if event.what != "applied" or event.data[1] != "claim":
            continue
        _, _, (claim, _), answer = event.data
        if isinstance(answer, Exception) or claim.claimant is Claimant.PULL:
            continue
        for one in answer:
            if _is_marked(scenario, one.type, event.at):
                yield MARKED, f"{claim.worker} took attempt {one.number} of {one.task_id}"


def _is_marked(scenario: Scenario, name: str, at: Micros) -> bool:
    """Whether a type was marked then, and not in that very moment."""
    marks = [one for one in scenario.rules if (one.what, one.type) == ("pull", name)]
    before = [one for one in marks if EPOCH + round(one.at * SECOND) < at]
    now = [one for one in marks if EPOCH + round(one.at * SECOND) == at]
    return bool(before) and before[-1].number == 1 and not now


def end_in_time(facts: Facts, scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What a client says of an attempt after its time is not taken, where nothing holds it up."""
    pull = scenario.pull
    held_up = pull is None or "stopped" in pull.faults or scenario.strikes
    if held_up or any(scenario.rate(kind) for kind in PER_CALL):
        return
    for story in facts.accepted:
        for move in story.moves:
            attempt, end = move.attempt, move.end
            if move.what != "settle" or attempt is None or end is None or not attempt.pulled:
                continue
            late = move.at - attempt.claimed.deadline
            if late > SECOND // 10 and end.outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
                yield TIMES, f"{attempt.name} was settled {late / SECOND:g} s after its time"


def told(facts: Facts, scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What workers are told."""
    for detail in gone_is_told(facts):
        yield GONE, detail
    for detail in results_are_true(facts):
        yield SETTLED, detail


def found_in_time(facts: Facts, scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Where every worker is busy, what has to run alone waits no longer than they can be held
    back; where one waits for something to do, nothing that is due waits beside it."""
    pull = scenario.pull
    if pull is None or not (pull.is_crowded or pull.in_time):
        return
    claims = [*claims_that_wait(facts)]
    for story in facts.accepted:
        for due, claimed, lone in waits(story):
            if pull.is_crowded and lone and claimed - due > HELD_BACK:
                told = f"{(claimed - due) / SECOND:g} s"
                yield STARVES, f"{story.task_id} was lost, and did not run again for {told}"
            beside = [min(claimed, until) - max(due, since) for since, until in claims]
            if pull.in_time and not lone and max(beside, default=0) > LOOKED:
                told = f"{max(beside) / SECOND:g} s"
                yield WAITS, f"{story.task_id} was due for {told} while a claim waited"


OF_ALL: tuple[Callable[[Facts, Scenario], Iterator[tuple[str, str]]], ...] = (
    held_rightly,
    left_to_them,
    end_in_time,
    told,
    found_in_time,
)


def broken(facts: Facts, scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Each promise that is broken, and how."""
    for of_all in OF_ALL:
        yield from of_all(facts, scenario)
