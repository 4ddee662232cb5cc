"""Why a task is not running now: the one reason, from what a ledger knows at one moment.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from unlost.limits.breaker import Phase
from unlost.limits.control import Control, Run
from unlost.task import Micros, Record, State

MOST_BEFORE = 1_000
"""How far the tasks are counted that are before another one."""


EACH_ITS_OWN = 0
"""The slots of a worker that stands for processes of which each runs one attempt: as many as there
is work for."""


class Reason(StrEnum):
    """Why a task is not running now; in this order, where several hold."""

    ENDED = "ended"
    RUNNING = "running"
    DUE_AT = "due_at"
    BACKOFF = "backoff"
    TYPE_PAUSED = "type_paused"
    NO_WORKER = "no_worker"
    BREAKER_OPEN = "breaker_open"
    TYPE_LIMIT = "type_limit"
    KEY_LIMIT = "key_limit"
    TYPE_RATE = "type_rate"
    KEY_RATE = "key_rate"
    ALONE = "alone"
    WORKERS_BUSY = "workers_busy"


class Alive(msgspec.Struct, frozen=True):
    """A worker whose lease holds, as far as it matters to what waits.

    `slots` is how many attempts it runs at once: None where it has not said.  `pull`: it claims by
    the API; `stand_in`: it leaves to such workers the types that they have named lately.
    """

    types: tuple[str, ...] | None
    alone: bool = False
    slots: int | None = None
    running: int = 0
    pull: bool = False
    stand_in: bool = False

    def serves(self, task_type: str, *, by_pull: bool = False) -> bool:
        """Whether it takes tasks of this type, which may be served `by_pull` alone."""
        return (self.pull or not by_pull) and (self.types is None or task_type in self.types)


class Taken(msgspec.Struct, frozen=True):
    """How many running attempts a task's limits count; 0 for a limit that is not set."""

    of_type: int = 0
    of_key: int = 0
    probes: int = 0


class Facts(msgspec.Struct, frozen=True):
    """What decides whether a task can start, in one snapshot at `now`.

    `alone`: its last attempt was lost, and the next one has a process for itself.  `before` counts
    those of its type (and as alone) that are due and whose turn comes first, as far as they were
    counted; where its type has a limit by key, without those of other keys.  `type_free_at` and
    `key_free_at` are when the rates of its type and its key let the next attempt start, where that
    is not now.  `too_long`: its submit has asked for more time than those can give that have
    `EACH_ITS_OWN`.  `named`: a worker that claims by the API has named its type lately, and one is
    there that stands in.
    """

    record: Record
    now: Micros
    alone: bool = False
    control: Control | None = None
    taken: Taken = Taken()
    workers: tuple[Alive, ...] = ()
    before: int = 0
    type_free_at: Micros | None = None
    key_free_at: Micros | None = None
    too_long: bool = False
    named: bool = False


class Why(msgspec.Struct, frozen=True):
    """The reason, in words, and what lifts it; `until` where the time of that is known."""

    reason: Reason
    detail: str
    would_change: str
    until: Micros | None = None


class _Bar(msgspec.Struct, frozen=True):
    """Something that keeps a task from starting; `lifted` once that has come true."""

    reason: Reason
    detail: str
    lifted: str
    until: Micros | None = None


def taken(control: Control | None, key: str | None, running: Iterable[Run]) -> Taken:
    """What of the attempts that run counts for a task with this key, of the control's type."""
    if control is None:
        return Taken()
    mine = [run for run in running if run.type == control.type]
    of_key = sum(run.key == key for run in mine)
    since = control.circuit.until if control.breaker is not None else None
    return Taken(
        len(mine) if control.limit is not None else 0,
        of_key if control.key_limit is not None and key is not None else 0,
        sum(run.started_at >= since for run in mine) if since is not None else 0,
    )


def why(facts: Facts) -> Why:
    """The one reason.  Where others hold beside it, `would_change` names them all, in turn."""
    task = facts.record
    if task.state is State.RUNNING:
        return Why(
            Reason.RUNNING, "An attempt runs.", "It runs until its attempt ends or it is cancelled."
        )
    if task.due_at is None:
        return _ended(task)
    bars = list(_bars(facts, task.due_at))
    first = bars[0]
    steps = [bar.lifted for bar in bars]
    if facts.before and task.due_at <= facts.now:
        steps.append("those before it have started")
    return Why(first.reason, first.detail, f"It starts once {_joined(steps)}.", first.until)


def bars(facts: Facts) -> list[Reason]:
    """All that keeps a task from starting, in the order in which it is named."""
    due_at = facts.record.due_at
    return [] if due_at is None else [bar.reason for bar in _bars(facts, due_at)]


def _ended(task: Record) -> Why:
    if task.state is State.DEAD:
        return Why(Reason.ENDED, "It is a dead letter.", "It starts once somebody redrives it.")
    return Why(
        Reason.ENDED,
        "It has succeeded." if task.state is State.SUCCEEDED else "It was cancelled.",
        "It never starts again.",
    )


def _bars(facts: Facts, due_at: Micros) -> Iterator[_Bar]:
    if due_at > facts.now:
        yield _early(facts.record, due_at)
        for bar in (*_paused(facts), *_unserved(facts), *_open(facts)):
            if bar.until is None or bar.until > due_at:
                yield bar
        return
    standing = (*_paused(facts), *_unserved(facts), *_open(facts))
    set_for_it = (*standing, *_full(facts), *_too_fast(facts))
    yield from set_for_it
    if not any(bar.reason is Reason.NO_WORKER for bar in set_for_it):
        yield from _waits_for_a_slot(facts, nothing_else=not set_for_it)


def _early(task: Record, due_at: Micros) -> _Bar:
    if task.state is State.RETRYING:
        told = "Its last attempt has failed, and there is a wait before the next one."
        if task.excused_count:
            told += f" Excused so far: {_number(task.excused_count, 'failure')}."
        return _Bar(Reason.BACKOFF, told, "its wait is over", due_at)
    return _Bar(Reason.DUE_AT, "It is not due yet.", "it is due", due_at)


def _paused(facts: Facts) -> Iterator[_Bar]:
    pause = None if facts.control is None else facts.control.pause
    if pause is not None:
        who = "somebody who gave no name" if pause.by is None else pause.by
        because = "" if pause.reason is None else f": {pause.reason}"
        told = f"Its type is paused, by {who}{because}."
        yield _Bar(Reason.TYPE_PAUSED, told, "its type is resumed")


def _too_fast(facts: Facts) -> Iterator[_Bar]:
    if facts.type_free_at is not None:
        told = "As many attempts of its type have started as its rate allows."
        lifted = "its type's rate lets the next attempt start"
        yield _Bar(Reason.TYPE_RATE, told + _before(facts), lifted, facts.type_free_at)
    if facts.key_free_at is not None:
        told = "As many attempts with its key have started as the rate by key allows."
        lifted = "its key's rate lets the next attempt start"
        yield _Bar(Reason.KEY_RATE, told + _before(facts), lifted, facts.key_free_at)


def _serving(facts: Facts) -> list[Alive]:
    """Who may take it: workers that run alone take nothing else, and those that stand in for others
    nothing that these have named."""
    name, by_pull = facts.record.type, _by_pull(facts)
    known = (one for one in facts.workers if not (facts.named and one.stand_in))
    fit = (one for one in known if not (facts.too_long and one.slots == EACH_ITS_OWN))
    takes = (one for one in fit if facts.alone or not one.alone)
    return [worker for worker in takes if worker.serves(name, by_pull=by_pull)]


def _by_pull(facts: Facts) -> bool:
    return facts.control is not None and facts.control.pull


def _unserved(facts: Facts) -> Iterator[_Bar]:
    if not _serving(facts):
        worker = "worker that claims by the API" if _by_pull(facts) else "worker"
        told = f"No {worker} is there that serves the type {facts.record.type}."
        if facts.too_long and not _by_pull(facts):
            told += " The functions cannot give it the time that its submit has asked for."
        if facts.named:
            told += " For a minute the simulated handler leaves it to those that claim by the API."
        yield _Bar(Reason.NO_WORKER, told, f"a {worker} is there that serves its type")


def _open(facts: Facts) -> Iterator[_Bar]:
    control = facts.control
    if control is None or control.breaker is None:
        return
    circuit, phase = control.circuit, control.phase(facts.now)
    if phase is Phase.OPEN:
        told = "The circuit breaker of its type is open."
        yield _Bar(Reason.BREAKER_OPEN, told, "the breaker tries again", circuit.until)
    elif phase is Phase.HALF_OPEN and circuit.passed + facts.taken.probes >= control.breaker.probes:
        told = "The circuit breaker of its type is half open, and waits for what it tries."
        yield _Bar(Reason.BREAKER_OPEN, told, "what the breaker tries has succeeded")


def _full(facts: Facts) -> Iterator[_Bar]:
    control, taken = facts.control, facts.taken
    if control is None:
        return
    if control.limit is not None and taken.of_type >= control.limit:
        told = f"{taken.of_type:,} of {control.limit:,} attempts of its type run."
        lifted = "an attempt of its type ends, or the limit is raised"
        yield _Bar(Reason.TYPE_LIMIT, told + _before(facts), lifted)
    most, key = control.key_limit, facts.record.key
    if most is not None and key is not None and taken.of_key >= most:
        told = f"{taken.of_key:,} of {most:,} attempts with its key run."
        lifted = "an attempt with its key ends, or the limit by key is raised"
        yield _Bar(Reason.KEY_LIMIT, told + _before(facts), lifted)


def _waits_for_a_slot(facts: Facts, *, nothing_else: bool) -> Iterator[_Bar]:
    serving = _serving(facts)
    if any(worker.slots == EACH_ITS_OWN for worker in serving):
        told = "The functions for its type are busy, or its message is on its way."
        bar = _Bar(Reason.WORKERS_BUSY, told + _before(facts), "one of them has taken it")
    elif facts.alone:
        told = "Its last attempt was lost: the next one has a process for itself."
        yield _Bar(Reason.ALONE, told + _before(facts), "a worker that runs alone takes it")
        return
    elif any(worker.slots is None for worker in serving):
        told = "No worker for its type has taken it yet."
        bar = _Bar(Reason.WORKERS_BUSY, told + _before(facts), "one of them has room for it")
    else:
        slots = sum(worker.slots or 0 for worker in serving)
        free = sum(max(0, (worker.slots or 0) - worker.running) for worker in serving)
        if not free:
            told = f"No slot is free, of {slots:,} that the workers for its type have."
            yield _Bar(Reason.WORKERS_BUSY, told + _before(facts), "a slot is free")
            return
        told = f"Free slots of the workers for its type: {free:,} of {slots:,}."
        bar = _Bar(Reason.WORKERS_BUSY, told + _before(facts), "a worker looks for what is due")
    if nothing_else:
        yield bar


def _before(facts: Facts) -> str:
    number = facts.before
    if not number:
        return ""
    whose = "" if facts.control is None or not facts.control.by_key else _of_its_key(facts.record)
    return f" At least {_number(number, 'task')}{whose} {_is(number)} before it."


def _of_its_key(task: Record) -> str:
    """Whose tasks were counted where others may have to wait for their own keys."""
    return " without a key" if task.key is None else " with its key, or without one,"


def _number(number: int, of: str) -> str:
    return f"{number:,} {of}" if number == 1 else f"{number:,} {of}s"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _joined(steps: list[str]) -> str:
    if len(steps) < 3:
        return ", and then ".join(steps)
    return f"{', then '.join(steps[:-1])}, and then {steps[-1]}"
