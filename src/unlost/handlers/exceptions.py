"""What a handler raises to say what is to follow."""

from __future__ import annotations


class Retry(Exception):
    """Raised by a handler to ask for another attempt, at least `after` seconds from now.

    It fails the attempt like any exception: with no attempt left, the task is dead.
    """

    def __init__(self, after: float = 0.0, reason: str = "") -> None:
        super().__init__(reason or f"the handler asked for another attempt after {after} s")
        self.after = after


class AttemptOver(BaseException):
    """Raised in a handler whose attempt does not run any more: nothing that it does counts."""


class NotHere(Exception):
    """Raised where the service's home has not what a handler asked for."""


class Reject(Exception):
    """Raised by a handler to send the task to the dead letters at once."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
