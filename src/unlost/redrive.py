"""A redrive of dead letters: what it has done, and what goes next.  Pure; time is passed in.

A redrive first counts what it means, then takes it, oldest death first, and looks at what became
of each letter.  It goes by positions among the dead letters that only move forward: what dies
again has a later death, and whatever it took names it in its history, so that none is taken twice.

A ledger makes one step of it in one transaction: `ended` with what it sees of the letters under
way, `wanted` for the place to look at, `advanced` with what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from unlost.limits.rate import SET_BACK
from unlost.task import SECOND, Micros

MOST_UNDER_WAY: Final = 1_000
"""Letters of one redrive that are under way at once."""

LOOK: Final = 2_000
"""Dead letters that one step looks at."""

AHEAD: Final[Micros] = 10 * SECOND
"""How long before its start a letter is taken, where a rate spreads the starts: more would go on
after a stop, less would leave pauses where steps are rare."""

AHEAD_OF_SWEEPS: Final[Micros] = 75 * SECOND
"""How long before its start a letter is taken where nobody but a sweep makes steps by the clock: as
far as from one to the next."""

DEFAULT_CANARY: Final = 1
DEFAULT_TOLERATE: Final = 0
DEFAULT_PATIENCE: Final[Micros] = 600 * SECOND

Position = tuple[Micros, int | str]
"""Where a letter stands among the dead ones: its death, and what breaks ties in its ledger."""

START: Final[Position] = (-1, 0)
LAST: Final = 2**63 - 1


class RedriveState(StrEnum):
    """Where a redrive stands; `stopped` and `done` take nothing more."""

    CANARY = "canary"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


GOING: Final = frozenset({RedriveState.CANARY, RedriveState.RUNNING})


UNSAID: Final = "the task has recorded steps, and forget does not say which run again"
"""Why a redrive stops that would give a letter another payload."""


class Named(msgspec.Struct, frozen=True):
    """What may be large: the letters' ids, where they were named, a payload for the one, and the
    names of steps that are forgotten (see `unlost.effects`).

    `forget_unsaid`: there is a payload, and nothing was said of steps, so that there may be none.
    """

    task_ids: tuple[str, ...] | None = None
    payload: str | None = None
    forget: tuple[str, ...] = ()
    forget_unsaid: bool = False


class Redrive(msgspec.Struct, frozen=True):
    """A redrive: what was asked for, and how far it is.

    `digest` stands for all that was asked for.  Of what it means (selectors mean *and*) `named` and
    `limit` leave a part; `types` are those that its key may act on, None for all.  `interval`
    spaces the starts.  `canary` letters go first; more than `tolerate` deaths stop it, None never;
    so does a canary that has not ended within `patience`.  `forget` tells what `Named` has.

    `selected` is None until it is counted.  `counting` is where the count goes on: of what is
    selected, or of what a stop has left.  `position` is the last letter looked at, `end` the last
    one selected.  `owed` are letters of the canary that are still to be taken.  `next_start` is the
    next start that the rate leaves free, `last_start` that of the letter taken last.
    """

    id: str
    digest: str = ""
    fingerprint: str | None = None
    type: str | None = None
    types: tuple[str, ...] | None = None
    named: bool = False
    limit: int | None = None
    interval: Micros = 0
    canary: int = DEFAULT_CANARY
    tolerate: int | None = DEFAULT_TOLERATE
    patience: Micros = DEFAULT_PATIENCE
    forget: tuple[str, ...] = ()
    by: str | None = None
    reason: str | None = None
    api_key: str | None = None
    state: RedriveState = RedriveState.CANARY
    started_at: Micros = 0
    updated_at: Micros = 0
    selected: int | None = None
    redriven: int = 0
    succeeded: int = 0
    died_again: int = 0
    cancelled: int = 0
    gone: int = 0
    why: str | None = None
    counting: Position | None = START
    counted: int = 0
    position: Position = START
    end: Position = START
    owed: int = 0
    next_start: Micros = 0
    last_start: Micros = 0

    @property
    def under_way(self) -> int:
        return self.redriven - self.succeeded - self.died_again - self.cancelled

    @property
    def left(self) -> int | None:
        return None if self.selected is None else self.selected - self.redriven - self.gone

    @property
    def open(self) -> bool:
        """Whether a step may still change it."""
        return self.state in GOING or self.counting is not None or self.under_way > 0

    def means(self, task_type: str, fingerprint: str) -> bool:
        """Whether it is about letters of this type with this fingerprint."""
        return (
            self.fingerprint in (None, fingerprint)
            and self.type in (None, task_type)
            and (self.types is None or task_type in self.types)
        )

    def within(self, types: Sequence[str] | None) -> bool:
        """Whether it can be about letters of these types alone (None: of any)."""
        if types is None or self.type in types:
            return True
        return self.types is not None and set(self.types) <= set(types)


class Ends(msgspec.Struct, frozen=True):
    """How letters that were under way have ended, since this was last asked."""

    succeeded: int = 0
    died_again: int = 0
    cancelled: int = 0


class Look(msgspec.Struct, frozen=True):
    """Where to look for letters: after `after` and up to `until`, at `rows` dead ones at most, and
    no further than to the `most`-th that is meant.

    `until` None: up to the last that was dead when the redrive began.
    """

    after: Position
    until: Position | None
    most: int
    rows: int = LOOK


class Window(msgspec.Struct, frozen=True):
    """What is there: the letters that are meant, in order, and the last position looked at.

    `more` says that others may follow.
    """

    found: tuple[Position, ...]
    last: Position
    more: bool


class Taken(msgspec.Struct, frozen=True):
    """A letter to be redriven, and when its next attempt may start."""

    position: Position
    due_at: Micros


def begun(new: Redrive, now: Micros) -> Redrive:
    """A redrive as it is when it begins."""
    state = RedriveState.CANARY if new.canary else RedriveState.RUNNING
    return replace(new, state=state, started_at=now, updated_at=now, owed=new.canary)


def ended(redrive: Redrive, ends: Ends, now: Micros) -> Redrive:
    """The redrive once it knows how letters under way have ended, and what follows from that."""
    if ends != Ends():
        redrive = replace(
            redrive,
            succeeded=redrive.succeeded + ends.succeeded,
            died_again=redrive.died_again + ends.died_again,
            cancelled=redrive.cancelled + ends.cancelled,
            updated_at=now,
        )
    return _judged(redrive, now)


def stopped(redrive: Redrive, why: str, now: Micros) -> Redrive:
    """The redrive once it takes nothing more; one that takes nothing anyway, as it is.

    What is left is counted once more, after the first count.
    """
    if redrive.state not in GOING:
        return redrive
    redrive = replace(redrive, state=RedriveState.STOPPED, why=why, updated_at=now)
    return redrive if redrive.selected is None else _counting_the_rest(redrive)


def _counting_the_rest(redrive: Redrive) -> Redrive:
    """A redrive that is stopped, as it counts what it has left; any other as it is."""
    if redrive.state is not RedriveState.STOPPED or not redrive.left:
        return redrive
    return replace(redrive, counting=redrive.position, counted=0)


def wanted(redrive: Redrive, now: Micros, most: int, ahead: Micros = AHEAD) -> Look | None:
    """Where the ledger has to look for what goes next, None nowhere; `most` are taken at once."""
    if redrive.counting is not None:
        wants = redrive.limit if redrive.selected is None else redrive.left
        rows = LOOK if wants is None else min(LOOK, wants - redrive.counted)
        return Look(redrive.counting, None if redrive.selected is None else redrive.end, rows)
    if redrive.state in GOING and (room := _room(redrive, now, most, ahead)) > 0:
        return Look(redrive.position, redrive.end, room, min(LOOK, room + LOOK // 4))
    return None


def advanced(redrive: Redrive, window: Window, now: Micros) -> tuple[Redrive, list[Taken]]:
    """The redrive after a look at where it `wanted` to, and what it takes with that."""
    if redrive.counting is not None:
        return _judged(_counted(redrive, window, now), now), []
    first = _first(redrive, now) if redrive.interval else now
    taken = [
        Taken(position, first + turn * redrive.interval)
        for turn, position in enumerate(window.found)
    ]
    redrive = replace(redrive, position=window.last, updated_at=now)
    if taken:
        redrive = replace(
            redrive,
            redriven=redrive.redriven + len(taken),
            owed=max(0, redrive.owed - len(taken)),
            next_start=first + len(taken) * redrive.interval,
            last_start=taken[-1].due_at,
        )
    if not window.more:
        redrive = replace(redrive, gone=(redrive.selected or 0) - redrive.redriven)
    return _judged(redrive, now), taken


def moved(redrive: Redrive) -> Redrive:
    """The redrive as it goes on in another ledger, where other numbers break ties.

    It looks again at all letters that died at the same moment as the last one, and counts again.
    """
    return replace(
        redrive,
        position=(redrive.position[0], -1),
        end=(redrive.end[0], LAST),
        counting=None if redrive.counting is None else _count_from(redrive),
        counted=0,
    )


def _count_from(redrive: Redrive) -> Position:
    return START if redrive.selected is None else (redrive.position[0], -1)


def _counted(redrive: Redrive, window: Window, now: Micros) -> Redrive:
    """The redrive after a look at what it counts: all that it means, or what is left of it."""
    first = redrive.selected is None
    counted = redrive.counted + len(window.found)
    redrive = replace(redrive, counting=window.last, counted=counted, updated_at=now)
    if window.more and counted != (redrive.limit if first else redrive.left):
        return redrive
    redrive = replace(redrive, counting=None)
    if first:
        return _counting_the_rest(replace(redrive, selected=counted, end=window.last))
    return replace(redrive, gone=(redrive.selected or 0) - redrive.redriven - counted)


def _judged(redrive: Redrive, now: Micros) -> Redrive:
    """The redrive in the state that follows from its counts and the time."""
    if redrive.state not in GOING:
        return redrive
    if redrive.tolerate is not None and redrive.died_again > redrive.tolerate:
        return stopped(redrive, f"{redrive.died_again} died again", now)
    if redrive.under_way == 0 and redrive.left == 0:
        return replace(redrive, state=RedriveState.DONE, updated_at=now)
    if redrive.state is RedriveState.CANARY:
        return _canary(redrive, now)
    return redrive


def _canary(redrive: Redrive, now: Micros) -> Redrive:
    """A canary is over once it has ended and one of it has succeeded; else another one goes."""
    if redrive.under_way > 0:
        if now - redrive.last_start < redrive.patience:
            return redrive
        return stopped(redrive, f"no end of the canary in {redrive.patience / SECOND:g} s", now)
    if redrive.owed > 0:
        return redrive
    if redrive.succeeded > 0:
        return replace(redrive, state=RedriveState.RUNNING, updated_at=now)
    return replace(redrive, owed=redrive.canary, updated_at=now)


def _room(redrive: Redrive, now: Micros, most: int, ahead: Micros) -> int:
    """How many may be taken now."""
    left = min(redrive.left or 0, most)
    if redrive.state is RedriveState.CANARY:
        return min(redrive.owed, left)
    bound = MOST_UNDER_WAY
    if redrive.canary:
        bound = min(bound, redrive.succeeded)
    return max(0, min(bound - redrive.under_way, left, _allowed(redrive, now, ahead)))


def _allowed(redrive: Redrive, now: Micros, ahead: Micros) -> int:
    """How many starts the rate leaves up to `ahead` from now."""
    if not redrive.interval:
        return MOST_UNDER_WAY
    return (now + ahead - _first(redrive, now)) // redrive.interval + 1


def _first(redrive: Redrive, now: Micros) -> Micros:
    """The next start that the rate leaves free: now, where what is kept cannot be, since the
    clock was set back.  A canary is taken at once, however far ahead that reaches."""
    furthest = now + AHEAD_OF_SWEEPS + SET_BACK + max(1, redrive.canary) * redrive.interval
    return now if redrive.next_start > furthest else max(redrive.next_start, now)
