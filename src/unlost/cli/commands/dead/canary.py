"""Redriving as a canary: what to do next, after what was seen.  Pure; time is passed in.

One is redriven first, the rest only once it has succeeded.  From then on never more are under way
than have succeeded before, so that a cause which is still there, or comes back, costs at most as
many as were well.  Who died again is counted, and ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_OPEN = 200
"""Dead letters under way at once: what may die again before it is noticed."""

LOOK_EVERY = 0.2
"""Seconds from one look to the next."""


@dataclass(frozen=True)
class Terms:
    """How a canary is run.

    `rate`: how many start in a second, None as many as may.  `tolerate`: how many may die again
    before it stops (not the first one).  `patience`: seconds without any ending after which it is
    given up.
    """

    rate: float | None = None
    tolerate: int = 0
    patience: float = 600.0


@dataclass(frozen=True)
class Seen:
    """What was seen up to `now`, in seconds.

    `left` were not yet redriven, `open` have not ended.  `gone` are out of it: somebody else took
    them, or cancelled them.  `proven_at` is when the first success was seen, `sent` counts what
    was redriven since; `moved_at` is when anything last was redriven or ended.
    """

    now: float
    left: int
    open: int = 0
    succeeded: int = 0
    died: int = 0
    gone: int = 0
    proven_at: float | None = None
    sent: int = 0
    moved_at: float = 0.0


@dataclass(frozen=True)
class Redrive:
    """Redrive so many now."""

    count: int


@dataclass(frozen=True)
class Wait:
    """Look again after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Stop:
    """Redrive no more, because of `why`."""

    why: str


@dataclass(frozen=True)
class Done:
    """All were redriven and have ended."""


Step = Redrive | Wait | Stop | Done


def next_step(terms: Terms, seen: Seen) -> Step:
    """What to do after what was seen."""
    if seen.died and not seen.succeeded:
        return Stop("the first one died again")
    if seen.died > terms.tolerate:
        return Stop(f"{seen.died} died again")
    if not seen.left and not seen.open:
        return Done()
    if seen.open and seen.now - seen.moved_at >= terms.patience:
        return Stop(f"nothing has ended for {terms.patience:g} s")
    count = min(seen.left, _room(seen), _due(terms, seen))
    return Redrive(count) if count > 0 else Wait(LOOK_EVERY)


def _room(seen: Seen) -> int:
    """How many more may be under way."""
    return min(max(seen.succeeded, 1), MOST_OPEN) - seen.open


def _due(terms: Terms, seen: Seen) -> int:
    """How many the rate allows by now; the first one does not count."""
    if terms.rate is None or seen.proven_at is None:
        return MOST_OPEN
    return 1 + int((seen.now - seen.proven_at) * terms.rate) - seen.sent
