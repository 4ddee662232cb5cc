"""Running a canary: redrive, look, and do what `canary` decides, until it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Protocol

from unlost.cli.client.delivery import CLOCK, Clock
from unlost.cli.commands.dead.canary import Done, Redrive, Seen, Stop, Terms, next_step

LOOKED_AT_ONCE = 50
"""Tasks that one look asks for, so that a look stays short."""


class Fate(Enum):
    """What became of a dead letter that was redriven."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    DIED = "died again"
    GONE = "gone"


@dataclass(frozen=True)
class Letter:
    """A dead letter, and how often it had been redriven before."""

    task_id: str
    redrives: int


class World(Protocol):
    """Where dead letters are redriven."""

    def redrive(self, letters: Sequence[Letter]) -> None:
        """Redrive these; those that are no dead letters by now are passed over."""
        ...

    def fate(self, letter: Letter) -> Fate:
        """What has become of one."""
        ...


@dataclass
class Trial:
    """How a canary stands.  `why` it stopped by itself; None if it did not."""

    letters: Sequence[Letter]
    redriven: int = 0
    succeeded: int = 0
    died: int = 0
    gone: int = 0
    why: str | None = None
    fallen: list[str] = field(default_factory=list)
    open: dict[str, Letter] = field(default_factory=dict)
    proven_at: float | None = None
    sent: int = 0
    moved_at: float = 0.0

    @property
    def ended(self) -> int:
        """How many are over, in whatever way."""
        return self.succeeded + self.died + self.gone

    @property
    def left(self) -> int:
        """How many were not redriven."""
        return len(self.letters) - self.redriven

    def seen(self, now: float) -> Seen:
        """As `canary` wants it."""
        return Seen(
            now,
            self.left,
            len(self.open),
            self.succeeded,
            self.died,
            self.gone,
            self.proven_at,
            self.sent,
            self.moved_at,
        )


def run(
    trial: Trial, world: World, terms: Terms, refresh: Callable[[], None], clock: Clock = CLOCK
) -> None:
    """Go on until all have ended, or `canary` stops it; what is under way then goes on alone.

    `refresh` is called after each step.  Raises what the world raises, NoService among it: the
    trial says then how far it came.
    """
    trial.moved_at = clock.now()
    while not isinstance(step := next_step(terms, trial.seen(clock.now())), Done):
        if isinstance(step, Stop):
            trial.why = step.why
            return
        if isinstance(step, Redrive):
            _redrive(trial, world, step.count, clock)
        else:
            clock.sleep(step.seconds)
        _look(trial, world, clock)
        refresh()


def _redrive(trial: Trial, world: World, count: int, clock: Clock) -> None:
    chosen = trial.letters[trial.redriven : trial.redriven + count]
    world.redrive(chosen)
    trial.redriven += len(chosen)
    trial.sent += len(chosen) if trial.proven_at is not None else 0
    trial.open |= {letter.task_id: letter for letter in chosen}
    trial.moved_at = clock.now()


def _look(trial: Trial, world: World, clock: Clock) -> None:
    """See what has ended; who has not is looked at again after the others."""
    for task_id in list(islice(trial.open, LOOKED_AT_ONCE)):
        letter = trial.open.pop(task_id)
        fate = world.fate(letter)
        if fate is Fate.OPEN:
            trial.open[task_id] = letter
            continue
        trial.moved_at = clock.now()
        if fate is Fate.SUCCEEDED:
            trial.succeeded += 1
            trial.proven_at = trial.moved_at if trial.proven_at is None else trial.proven_at
        elif fate is Fate.DIED:
            trial.died += 1
            trial.fallen.append(task_id)
        else:
            trial.gone += 1
