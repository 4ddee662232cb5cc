"""What a ledger raises."""

from __future__ import annotations

from unlost.task import State


class LedgerUnavailable(Exception):
    """The ledger cannot answer now (connection lost, too much waiting); try again.

    The message is for who runs the service.  `words` say to everybody else what the ledger does,
    and neither where it is nor what is in it: "the ledger …".
    """

    def __init__(self, why: str = "", *, words: str = "does not answer a write") -> None:
        super().__init__(why)
        self.words = words


class LedgerUnfit(LedgerUnavailable):
    """It does not pass by itself (a right is missing, the disk is full, a table is gone).

    The message says what it is and what to do about it.  Once that is done, it answers again.
    """


class LedgerGone(LedgerUnfit):
    """Its file was removed, replaced, cut or damaged while it was in use.

    This process writes nothing more to it, also if the file comes back (it takes back a claim that
    nobody has heard of), and the ledger itself has said so in the log; what was there can still be
    read, as far as it is whole.
    """


class NotALedger(Exception):
    """What was named as the ledger is none that this version can use.  The message says why."""


class UnknownTask(Exception):
    """No task has this id."""


class UnknownRedrive(Exception):
    """No redrive has this id."""


class UnknownKey(Exception):
    """No key has this name, or it was revoked."""


class Refused(Exception):
    """The task's state does not allow the step (see `task.TRANSITIONS`)."""

    def __init__(self, state: State) -> None:
        super().__init__(f"the task is {state.value}")
        self.state = state


class StepsStand(Exception):
    """A redrive with a new payload has to say which of the task's steps it forgets."""


class Repeated(Exception):
    """The same call was made before: it has done what it asks for, and nothing more was done."""


class AnotherCall(Exception):
    """The call's id was given to another call before, and nothing was done."""


class LeaseOver(Exception):
    """This worker's lease is over or was never there: its attempts may be reaped.

    It must end unless it can extend its lease.
    """


class AnothersWorker(Exception):
    """A worker of this name was enlisted by another key, or is no one that claims by the API."""


class BadCursor(Exception):
    """The cursor did not come from this ledger, or not from this kind of list."""
