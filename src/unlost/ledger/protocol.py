"""What a ledger is: the narrow waist between what is decided and where it is kept.

Every change of a task is one atomic, conditional step.  The ledgers apply decisions, they make
none; they read the time from the clock they were given (a database's own, where it has one).
Every method is safe to repeat after an unknown outcome, because the caller brings the identity:
a task id or a fencing token.  `LedgerUnavailable` may come from any of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from unlost.control import Change, Control
from unlost.ledger.values import (
    EVERYTHING,
    Claim,
    Claimed,
    Copy,
    Counts,
    Enlisted,
    Entry,
    Group,
    Held,
    Page,
    Part,
    Query,
    Report,
    Selection,
    Settlement,
    Submitted,
    Transition,
    Verdict,
    Worker,
)
from unlost.task import Micros, Record, State, Submission


class LedgerUnavailable(Exception):
    """The ledger cannot answer now (disk full, connection lost, too much waiting); try again."""


class NotALedger(Exception):
    """What was named as the ledger is none that this version can use.  The message says why."""


class UnknownTask(Exception):
    """No task has this id."""


class Refused(Exception):
    """The task's state does not allow the step (see `task.TRANSITIONS`)."""

    def __init__(self, state: State) -> None:
        super().__init__(f"the task is {state.value}")
        self.state = state


class LeaseOver(Exception):
    """This worker's lease is over or was never there: its attempts may be reaped; it must end."""


class BadCursor(Exception):
    """The cursor did not come from this ledger, or not from this kind of list."""


class Ledger(Protocol):
    """The durable record of every task and every attempt: the one source of truth."""

    # Submitting and reading

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        """Store new tasks; they survive a crash of everything once this returns.

        In order; a task id seen before is a replay where the digest is equal, else a conflict,
        also within one call.
        """
        ...

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        """The task as it is now."""
        ...

    async def page(self, query: Query) -> Page:
        """A page of a list.  Page by page, each task there throughout comes exactly once.

        Raises BadCursor.
        """
        ...

    async def groups(self) -> list[Group]:
        """Dead letters counted by fingerprint, most first."""
        ...

    async def counts(self) -> Counts:
        """The counters, in one snapshot."""
        ...

    async def entries(self, after: int, limit: int) -> list[Entry]:
        """Entries with a position above `after`, in order, with attempts and history."""
        ...

    async def copies(self, after: int, limit: int) -> list[tuple[int, Copy]]:
        """Tasks with a position above `after`, in order, each with all that is kept of it."""
        ...

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        """Keep tasks as another ledger kept them, with all that belongs to them.

        They survive a crash of everything once this returns.  In order; an id that is there
        already is a replay where the digest is equal, else a conflict, and stays as it is.  What
        runs stays so under a worker whose lease is over: it will be reaped.
        """
        ...

    # Attempts

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        """Let this worker claim, for `lease` from now.

        Strikes off the workers whose lease is over and that hold nothing.
        """
        ...

    async def extend(self, workers: Collection[str], lease: Micros) -> set[str]:
        """Extend these workers' leases; returns those that are still enlisted."""
        ...

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        """Strike a worker off; with `expired`, only if its lease is over and it holds nothing."""
        ...

    async def workers(self) -> list[Enlisted]:
        """The workers whose leases hold, by id, and what they run."""
        ...

    async def claim(self, claim: Claim) -> list[Claimed]:
        """Start attempts: highest priority first, then oldest due (approximately).

        None starts for which its type's `Control` leaves no room; what is passed over so is found
        once there is some.  The attempts are recorded and counted before this returns.  After an
        unknown outcome, `held` names what was claimed.  Raises LeaseOver.
        """
        ...

    async def due_in(self, types: Collection[str] | None, *, alone: bool = False) -> Micros | None:
        """How long until a claim of this kind could find a task; None if nothing waits.

        A duration, by the ledger's clock: the caller's own may be off.  Types that have no room
        are left out.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End attempts; False for each whose token is not the running attempt's.

        The settlements that held survive a crash of everything once this returns.
        """
        ...

    async def held(self, worker: str | None) -> list[Held]:
        """The running attempts of this worker; None: of all workers whose lease is over."""
        ...

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        """Of these tokens (each with its task id), those that no longer run."""
        ...

    # What people do

    async def cancel(self, task_id: str, by: str | None, reason: str | None) -> None:
        """Make the task cancelled; a running attempt's settlement will be refused.

        Raises UnknownTask, Refused.
        """
        ...

    async def redrive(
        self, task_id: str, by: str | None, reason: str | None, payload: str | None = None
    ) -> None:
        """Give a dead letter a fresh set of attempts, due now.  Raises UnknownTask, Refused.

        A new `payload` replaces the old one for attempts; replays are still compared with what
        was first submitted.
        """
        ...

    async def redrive_many(
        self, selection: Selection, by: str | None, reason: str | None
    ) -> tuple[int, bool]:
        """Redrive dead letters, oldest death first; how many, and whether the run has more."""
        ...

    async def discard(self, task_id: str, by: str | None, reason: str | None) -> None:
        """Make a dead letter cancelled, its history kept.  Raises UnknownTask, Refused."""
        ...

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        """Let no claim take a task of this type until `resume`; what runs goes on.

        Where it is paused already, that pause stays.
        """
        ...

    async def resume(self, task_type: str) -> None:
        """Let claims take tasks of this type again."""
        ...

    async def change(self, task_type: str, change: Change) -> None:
        """Set limits or a breaker for a type; holds for all claims that begin after it."""
        ...

    async def controls(self) -> list[Control]:
        """What is set for types, and how their breakers stand; by type."""
        ...

    # Reports and upkeep

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        """Deaths not yet reported; nobody else gets them for `lease`."""
        ...

    async def reported(self, report_ids: Collection[int]) -> None:
        """Record that these deaths were reported."""
        ...

    async def purge(self, before: Micros, limit: int) -> int:
        """Remove payload, result and attempts of succeeded and cancelled tasks last updated
        before `before`; how many (at most `limit`).  What people did to them stays."""
        ...

    async def ping(self) -> None:
        """Prove that the ledger answers a write."""
        ...

    # Hints: they may be lost, repeated and late

    async def wait(self, seconds: float) -> None:
        """Return when a task may have become due, or after `seconds`."""
        ...

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        """What changes from now on."""
        ...

    async def close(self) -> None:
        """Give everything back; safe to call twice."""
        ...
