"""A circuit breaker: while most attempts of a type fail, its tasks wait instead of being tried.

Closed, it counts how attempts end in a window that slides by buckets.  Once enough of them ended
and the share that failed is too high, it opens: no attempt starts until its pause is over.  Then
it is half open: a few attempts start as probes.  One that fails opens it again; when all have
succeeded, it closes and begins to count anew.  The states are those of M. Nygard, "Release It!",
2007.  Pure: the time is an argument.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from unlost.task import SECOND, Micros, Outcome, TaskError

BUCKETS = 10
"""Into how many parts the window is divided; it slides by one of them."""

REJECT = "Reject"
"""The error type by which a handler says that a task itself is at fault."""


class Phase(StrEnum):
    """Whether attempts may start: all, none, or a few to see how they go."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker(msgspec.Struct, frozen=True):
    """When attempts of a type are to be tried no more, and how they are taken up again.

    It opens where, of `minimum` attempts or more that ended in `window`, at least `share` failed;
    it stays open for `pause`, then lets `probes` attempts start.  With `excuse` the failure that
    opens it, and each probe of one that fails, spend no retry.
    """

    share: float = 0.5
    window: Micros = 60 * SECOND
    minimum: int = 10
    pause: Micros = 30 * SECOND
    probes: int = 1
    excuse: bool = False


class Bucket(msgspec.Struct, frozen=True):
    """How many attempts ended in a part of the window, and how many of these failed."""

    number: int
    ended: int = 0
    failed: int = 0


class Circuit(msgspec.Struct, frozen=True):
    """What a breaker remembers.  `opened` and `until` are None while it is closed; it is half
    open from `until` on, and `passed` counts the probes that have succeeded since."""

    buckets: tuple[Bucket, ...] = ()
    opened: Micros | None = None
    until: Micros | None = None
    passed: int = 0

    def phase(self, now: Micros) -> Phase:
        """Whether attempts may start now."""
        if self.until is None:
            return Phase.CLOSED
        return Phase.OPEN if now < self.until else Phase.HALF_OPEN


class Ending(msgspec.Struct, frozen=True):
    """How an attempt ended, as a breaker sees it."""

    started_at: Micros
    failed: bool


def ending(started_at: Micros, outcome: Outcome, error: TaskError | None) -> Ending | None:
    """What a breaker is to learn of an attempt's end, if anything.

    A task that was rejected, released or cancelled says nothing of what its handler needs.
    """
    if outcome in (Outcome.RELEASED, Outcome.CANCELLED):
        return None
    if error is not None and error.type == REJECT:
        return None
    return Ending(started_at, failed=outcome is not Outcome.SUCCEEDED)


def after(breaker: Breaker, circuit: Circuit, ended: Ending, now: Micros) -> Circuit:
    """The circuit once an attempt has ended so, now."""
    match circuit.phase(now):
        case Phase.CLOSED:
            return _counted(breaker, circuit, ended, now)
        case Phase.OPEN:
            return circuit
        case Phase.HALF_OPEN:
            return _probed(breaker, circuit, ended, now)


def excuses(breaker: Breaker, circuit: Circuit, ended: Ending, now: Micros) -> bool:
    """Whether an attempt that ends so, now, is a failure that opens the breaker or a probe of it,
    and is to spend no retry."""
    if not breaker.excuse or not ended.failed:
        return False
    until = after(breaker, circuit, ended, now).until
    if circuit.phase(now) is Phase.CLOSED:
        return until is not None
    return is_probe(circuit, ended, now)


def is_probe(circuit: Circuit, ended: Ending, now: Micros) -> bool:
    """Whether an attempt has started since the breaker is half open."""
    half_open = circuit.phase(now) is Phase.HALF_OPEN
    return half_open and circuit.until is not None and ended.started_at >= circuit.until


def _counted(breaker: Breaker, circuit: Circuit, ended: Ending, now: Micros) -> Circuit:
    number = now // max(1, breaker.window // BUCKETS)
    known = {one.number: one for one in circuit.buckets if one.number > number - BUCKETS}
    bucket = known.get(number, Bucket(number))
    known[number] = Bucket(number, bucket.ended + 1, bucket.failed + ended.failed)
    total = sum(one.ended for one in known.values())
    failed = sum(one.failed for one in known.values())
    if ended.failed and total >= breaker.minimum and failed >= breaker.share * total:
        return Circuit(opened=now, until=now + breaker.pause)
    return Circuit(tuple(known[each] for each in sorted(known)))


def _probed(breaker: Breaker, circuit: Circuit, ended: Ending, now: Micros) -> Circuit:
    if not is_probe(circuit, ended, now):
        return circuit
    if ended.failed:
        return msgspec.structs.replace(circuit, until=now + breaker.pause, passed=0)
    passed = circuit.passed + 1
    if passed >= breaker.probes:
        return Circuit()
    return msgspec.structs.replace(circuit, passed=passed)
