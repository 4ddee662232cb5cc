"""What a ledger raises."""

from __future__ import annotations

from unlost.task import State


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
