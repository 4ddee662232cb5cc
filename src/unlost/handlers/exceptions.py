"""What a handler raises to say what is to follow."""

from __future__ import annotations


class Retry(Exception):
    """Raised by a handler to ask for another attempt, at least `after` seconds from now.

    It fails the attempt like any exception: with no attempt left, the task is dead.  With
    `excused` it was nobody's fault and spends none of the task's retries, as often as the service
    excuses (`--max-excused`, after each submit or redrive).
    """

    after = 0.0
    excused = False

    def __init__(self, after: float = 0.0, reason: str = "", *, excused: bool = False) -> None:
        super().__init__(reason or f"the handler asked for another attempt after {after} s")
        self.after = after
        self.excused = excused


class AttemptOver(BaseException):
    """Raised by `task.once` where its attempt runs no more: it has ended, its task was cancelled,
    or it was taken for lost.  Whatever the handler does from here on, others may be doing as well.

    No `Exception`, so that no handler goes on by mistake.
    """

    def __init__(self, why: str = "this attempt runs no more") -> None:
        super().__init__(why)


class StepNotKept(Exception):
    """Raised by `task.once`: the step was made, and what its function returned could not be kept
    (it is no JSON, or too large, or the task has too many steps).  It is not made again."""

    def __init__(self, name: str, why: str = "") -> None:
        told = f": {why}" if why else ""
        super().__init__(f"step {name!r} was made, and what it returned is not kept{told}")
        self.name = name


class NotHere(Exception):
    """Raised where the service's home has not what a handler asked for."""


class Reject(Exception):
    """Raised by a handler to send the task to the dead letters at once."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
