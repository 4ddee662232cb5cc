"""Why tasks wait: whether the reason that is named is true, tried on a copy of the ledger.

What is named must keep the task from starting; once it is lifted, and what is named after it, the
task starts.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import count

from tests.simulation.adversary import atomic
from unlost.ledger.local_hints import LocalHints
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import Claim, Claimed, Settlement, Worker
from unlost.limits.why import Facts, Reason, bars, why
from unlost.policy import Limits
from unlost.task import SECOND, Event, Micros, Outcome

LEASE: Micros = 3_600 * SECOND

MANY = 100
"""More tasks than a scenario has."""

IN_TIME = (
    Reason.DUE_AT, Reason.BACKOFF, Reason.BREAKER_OPEN, Reason.TYPE_RATE, Reason.KEY_RATE,
)  # fmt: skip

BY_A_SLOT = frozenset({Reason.WORKERS_BUSY, Reason.ALONE})
"""Lifted by a worker that has room, and by nothing else."""


class Copy:
    """A ledger as it is now, with a clock of its own: nobody else hears of what is done to it."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.now = ledger._now()
        apart = {id(ledger._now): self.clock, id(ledger._hints): LocalHints()}
        self.ledger: MemoryLedger = copy.deepcopy(ledger, apart)
        self._numbers = count()

    def clock(self) -> Micros:
        return self.now

    def facts(self, task_id: str) -> Facts:
        facts: Facts = atomic(self.ledger.facts([task_id]))[task_id]
        return facts

    def claim(self, tokens: int, task_type: str, *, alone: bool) -> list[Claimed]:
        """What a new worker with so many slots gets."""
        worker = Worker(f"new{next(self._numbers)}", (task_type,), alone, tokens)
        atomic(self.ledger.enlist(worker, LEASE))
        names = [f"{worker.id}-{number}" for number in range(tokens)]
        wanted = Claim(worker.id, names, {task_type: Limits()}, Limits(3, 60.0), alone)
        claimed: list[Claimed] = atomic(self.ledger.claim(wanted))
        atomic(self.ledger.dismiss(worker.id))
        return claimed

    def succeed(self, task_id: str) -> None:
        """End the attempt that runs."""
        token = self.ledger._tasks[task_id].token
        assert token is not None
        end = Settlement(task_id, token, Outcome.SUCCEEDED, Event.SUCCEED)
        assert atomic(self.ledger.settle([end])) == [True]

    def until(self, at: Micros) -> None:
        """Let time pass; who is alive stays so."""
        workers = self.ledger._workers
        for name, (worker, lease) in workers.items():
            if lease > self.now:
                workers[name] = worker, max(lease, at + LEASE)
        self.now = at

    def lift(self, facts: Facts) -> None:
        """Have come true what the reason asks for."""
        task, told = facts.record, why(facts)
        if told.until is not None:
            self.until(told.until)
        elif told.reason is Reason.TYPE_PAUSED:
            atomic(self.ledger.resume(task.type))
        elif told.reason is Reason.NO_WORKER:
            atomic(self.ledger.enlist(Worker("there", (task.type,), slots=1), LEASE))
        elif told.reason is Reason.BREAKER_OPEN:
            self._end(facts, MANY)
        elif told.reason is Reason.TYPE_LIMIT:
            self._end(facts, facts.taken.of_type - (_limits(facts)[0] or 0) + 1)
        elif told.reason is Reason.KEY_LIMIT:
            self._end(facts, facts.taken.of_key - (_limits(facts)[1] or 0) + 1, task.key)

    def _end(self, facts: Facts, number: int, key: str | None = None) -> None:
        """End so many attempts of its type, or with its key, in the order in which they began."""
        of_type = [k for k in self.ledger._running.values() if k.record.type == facts.record.type]
        mine = [kept.record for kept in of_type if key is None or kept.record.key == key]
        if why(facts).reason is Reason.BREAKER_OPEN and facts.control is not None:
            since = facts.control.circuit.until or 0
            mine = [task for task in mine if task.attempts[-1].started_at >= since]
        for task in mine[:number]:
            self.succeed(task.task_id)


def _limits(facts: Facts) -> tuple[int | None, int | None]:
    control = facts.control
    return (None, None) if control is None else (control.limit, control.key_limit)


def wrong(ledger: MemoryLedger, facts: Facts) -> Iterator[str]:
    """What is not true of the reason that is named for a task that waits."""
    if not _holds(ledger, facts):
        yield f"{why(facts).reason} does not keep {facts.record.task_id} from starting"
        return
    yield from _not_lifted(Copy(ledger), facts)


def _holds(ledger: MemoryLedger, facts: Facts) -> bool:
    """Whether the task cannot start, whoever claims, until just before it is lifted."""
    task, told = facts.record, why(facts)
    takes = [
        worker
        for worker, lease in ledger._workers.values()
        if lease > facts.now and (worker.types is None or task.type in worker.types)
    ]
    alone = ledger._tasks[task.task_id].alone
    served = any(alone or not worker.alone for worker in takes)
    if told.reason is Reason.NO_WORKER or told.reason in BY_A_SLOT:
        return served is (told.reason is not Reason.NO_WORKER)
    tried = Copy(ledger)
    if told.until is not None:
        tried.until(told.until - 1)
    return not any(_starts(tried, facts, MANY, alone=kind) for kind in (False, True))


def _starts(on: Copy, facts: Facts, tokens: int, *, alone: bool) -> bool:
    claimed = on.claim(tokens, facts.record.type, alone=alone)
    return facts.record.task_id in {one.task_id for one in claimed}


def _not_lifted(on: Copy, facts: Facts) -> Iterator[str]:
    """Lift one reason after the other; each may be named once, and then the task starts."""
    task_id, lifted = facts.record.task_id, list[Reason]()
    while (reason := why(facts).reason) not in BY_A_SLOT:
        rest = set(bars(facts)[1:])
        on.lift(facts)
        lifted.append(reason)
        facts = on.facts(task_id)
        left = set(bars(facts))
        if reason in left and why(facts).until is None and reason is not Reason.BREAKER_OPEN:
            yield f"{reason} of {task_id} was lifted, and is named again"
            return
        stays = {Reason.TYPE_PAUSED} if reason in IN_TIME else {Reason.TYPE_PAUSED, *IN_TIME}
        gone = (rest - left) & stays
        more = {one for one in left - rest - BY_A_SLOT if reason not in IN_TIME}
        if gone or more or len(lifted) > len(Reason):
            yield f"after {reason} of {task_id} come {sorted(left)}, not {sorted(rest)}"
            return
    if facts.before and _starts(Copy(on.ledger), facts, facts.before, alone=facts.alone):
        yield f"{task_id} starts before others, though {facts.before} are before it"
    if not _starts_in_turn(on, facts):
        yield f"{task_id} does not start, though {lifted} were lifted, and then {reason}"


def _starts_in_turn(on: Copy, facts: Facts) -> bool:
    """Whether a worker with room gets it, once what is before it has started."""
    for _ in range(MANY):
        facts = on.facts(facts.record.task_id)
        claimed = on.claim(facts.before + 1, facts.record.type, alone=facts.alone)
        if facts.record.task_id in {one.task_id for one in claimed}:
            return True
        if not claimed and why(facts).reason in BY_A_SLOT:
            return False
        if not claimed:  # those before it have taken what its rate allows
            on.lift(facts)
        for one in claimed:
            on.succeed(one.task_id)
    return False
