"""What goes through `protocol.Workers` and `protocol.Attempts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

import msgspec
from msgspec.structs import replace

from unlost.effects import Effects
from unlost.limits.control import Claimant
from unlost.limits.why import Alive
from unlost.policy import Limits
from unlost.task import Event, Micros, Outcome, Submission, TaskError


class Worker(msgspec.Struct, frozen=True):
    """One worker process.  `id` is its random incarnation; `types` is None for every type, and
    empty while it starts.

    A worker that runs `alone` takes only tasks whose last attempt was lost, one at a time.
    `slots` is how many attempts it runs at once (see `why.Alive`).  With `pull` it claims by the
    API; one that is a `stand_in` claims as such (see `Claimant`).
    """

    id: str
    types: tuple[str, ...] | None = None
    alone: bool = False
    slots: int | None = None
    pull: bool = False
    stand_in: bool = False

    @property
    def starting(self) -> bool:
        """Whether it serves no type yet."""
        return self.types == ()


MOST_SHOWN = 20
"""Running attempts that are shown of one worker."""


class Running(msgspec.Struct, frozen=True):
    """An attempt that runs."""

    task_id: str
    type: str
    number: int
    started_at: Micros


class Enlisted(msgspec.Struct, frozen=True):
    """A worker as it stands: until when its lease is, what it runs (of that, the `MOST_SHOWN`
    oldest) and how much that is."""

    worker: Worker
    lease_until: Micros
    running: tuple[Running, ...]
    count: int

    @property
    def alive(self) -> Alive:
        """As it matters to what waits."""
        worker = self.worker
        return Alive(
            worker.types, worker.alone, worker.slots, self.count, worker.pull, worker.stand_in
        )


BESIDE = 2_048
"""Bytes that an attempt takes beside its payload where a claim has `room` for so many."""


class Claim(msgspec.Struct, frozen=True):
    """A request for due tasks: as many as there are `tokens` (fresh, random, one an attempt).

    `types` maps the types to take to their handlers' limits; None takes every type.  What
    submit and handler leave open is filled from `defaults`.  With `room` (bytes; only for a claim
    that names types) no more are started, in their order, than there is room for their payloads,
    each with `BESIDE`; the first always is.
    """

    worker: str
    tokens: Sequence[str]
    types: Mapping[str, Limits] | None
    defaults: Limits
    alone: bool = False
    claimant: Claimant = Claimant.LOCAL
    room: int | None = None

    def fitting(self, sizes: Iterable[int]) -> int:
        """Of payloads of so many bytes, in order, how many there is room for."""
        taken = number = 0
        for number, size in enumerate(sizes, start=1):
            taken += size + BESIDE
            if self.room is not None and taken > self.room:
                return max(1, number - 1)
        return number

    def limits(self, task_type: str, submitted: Limits) -> Limits:
        """What holds for a task of this type: the submit's, else the handler's, else ours."""
        handler = self.types.get(task_type, Limits()) if self.types else Limits()
        return submitted.filled(handler).filled(self.defaults)


class Claimed(msgspec.Struct, frozen=True):
    """An attempt that is recorded and may start.

    `number` counts all attempts of the task, `spent` those since its submit or last redrive
    that were neither released nor excused, this one included, `excused` those that were excused
    since then.  `deadline` is started_at + timeout.
    `due_at` is when it had become due, where that is still known.  `effects` is there for a
    task that a redrive made forget steps, or that came from another ledger (see
    `unlost.effects`).
    """

    task_id: str
    token: str
    type: str
    payload: str
    number: int
    spent: int
    max_retries: int
    timeout: float
    deadline: Micros
    redrive_count: int
    submitted_at: Micros
    started_at: Micros
    due_at: Micros | None  # where the ledger still knows it
    carried: str | None = None
    effects: Effects | None = None
    excused: int = 0
    key: str | None = None


class Held(msgspec.Struct, frozen=True):
    """A running attempt as seen from outside: what is needed to settle it for its worker.

    `left` is the time to its deadline by the ledger's clock (the caller's own may be off); it
    has timed out where that is 0 or less.
    """

    task_id: str
    token: str
    worker: str
    spent: int
    max_retries: int
    timeout: float
    left: Micros
    type: str
    number: int
    carried: str | None = None
    excused: int = 0


class Settlement(msgspec.Struct, frozen=True):
    """How an attempt ended (`outcome`) and what follows (`event`, with `wait` for a retry).

    It holds only while `token` is the running attempt's.  Where it holds, the task `follow` is
    submitted in the same step, unless its id is known already, and so are all of `submit`: where
    the id of one is another task's, none of them is, and its `conflict` holds instead.  An
    `excused` failure spends no retry; where the type's breaker excuses one (`excusable`: see
    `policy.Next`), `by_breaker` holds instead.
    """

    task_id: str
    token: str
    outcome: Outcome
    event: Event
    wait: Micros = 0
    error: TaskError | None = None
    result: str | None = None
    follow: Submission | None = None
    submit: tuple[FollowUp, ...] = ()
    excused: bool = False
    excusable: Micros | None = None

    @property
    def by_breaker(self) -> Settlement:
        """What holds instead where a breaker excuses the failure: another attempt, and nothing to
        tell of."""
        if self.excusable is None:
            return self
        return replace(
            self, event=Event.RETRY, wait=self.excusable, excused=True, excusable=None, follow=None
        )


class FollowUp(msgspec.Struct, frozen=True):
    """A task that a handler submits with its success.  `conflict` is how the attempt ends instead
    where its id is that of a task with another payload or other options; it submits nothing."""

    submission: Submission
    conflict: Settlement


class Settled(IntEnum):
    """What became of a settlement: false where it was refused."""

    REFUSED = 0
    """Its token is not the running attempt's."""

    HELD = 1

    CONFLICT = 2
    """The attempt has ended, but by the `conflict` of a follow-up."""

    EXCUSED = 3
    """The attempt has ended, but `by_breaker`."""
