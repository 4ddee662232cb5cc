"""What a supervisor and its children tell each other.

The supervisor writes a `Brief` as one line on the child's stdin, which it then keeps open: its end
is the supervisor's.  `STOP` there has a worker drain as soon as it is ready: what a signal does a
handler may have replaced.  The child writes lines on a pipe of its own: `DOING` with what it does
next while it starts, `READY` with what it serves, `FAILED` with the reason why it cannot start
(`WRONG`, where that is a setting), `PULSE` again and again from its event loop, `STUCK` when it
claims no more since a handler does not end, `RECORDING` when it needs a few seconds beyond the
grace period to record what is done, and `LEAVING` before it ends in order: a handler can
fake an exit status, but not that.
"""

from __future__ import annotations

import signal
from enum import IntEnum

import msgspec

from unlost.settings import Settings

DOING = b"doing "
READY = b"ready "
FAILED = b"failed "
WRONG = b"wrong "
PULSE = b"pulse"
STUCK = b"stuck"
RECORDING = b"recording"
LEAVING = b"leaving"
STOP = b"."

SHOW = signal.SIGUSR1
"""Has a child write on stderr where it is, whatever it does."""

OPENING = "opening the ledger"
"""What a process does before anything of the user's."""

PULSE_INTERVAL = 0.5
"""Seconds between two signs of life of a child's event loop."""


class Exit(IntEnum):
    """A child's exit status."""

    DONE = 0
    FAILED = 1
    ORPHANED = 70
    STUCK = 71
    LEASE_OVER = 72


class ServiceAt(msgspec.Struct, frozen=True):
    """The service whose attempts workers run, its key (which nothing shows), and the types that
    are claimed; None are all that the handlers name."""

    url: str
    api_key: str
    types: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"ServiceAt({self.url!r})"


class Brief(msgspec.Struct, frozen=True):
    """What a child is told at its start: who it is, and the descriptors that it inherits.

    `log` takes whole lines of the log, `voice` what the child
    has to say; `listener` is the API's socket, `board` where a worker of another `service` shows
    what it holds.  `ledger_file` is which file the ledger must be,
    where it is in one: a child that is started again must not go on with another.
    """

    parent: int
    settings: Settings
    log: int
    voice: int
    worker_id: str = ""
    alone: bool = False
    listener: int | None = None
    ledger_file: tuple[int, int] | None = None
    service: ServiceAt | None = None
    board: int | None = None


class Ready(msgspec.Struct, frozen=True):
    """What a worker serves; None is every type."""

    types: tuple[str, ...] | None = None
