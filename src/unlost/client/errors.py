"""What a call of a client can end with, other than what it was made for."""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: at a `pointer` into the body, or in a `parameter` of the query."""

    detail: str
    pointer: str = ""
    parameter: str = ""

    def __str__(self) -> str:
        return f"{self.pointer or self.parameter}: {self.detail}"

    def is_told_in(self, text: str) -> bool:
        """Whether a text already says where the fault is and what it is."""
        name = (self.pointer or self.parameter).rpartition("/")[2]
        return name in text and self.detail in text


class Problem(msgspec.Struct, frozen=True):
    """A refusal as the service tells it (RFC 9457).  `type` tells kinds apart; `errors` lists
    every fault of what was sent."""

    status: int = 0
    type: str = "about:blank"
    title: str = ""
    detail: str = ""
    errors: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        """One line, with all faults."""
        said = self.detail or self.title
        parts = [said, *(str(fault) for fault in self.errors if not fault.is_told_in(said))]
        return f"{'; '.join(parts)} ({self.status})"


class UnlostError(Exception):
    """A call has failed.  `problem` is what the service said, None where it said nothing;
    `task_id` is the task's that a submit was about, also where the client had made the id."""

    def __init__(
        self, message: str, problem: Problem | None = None, task_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.task_id = task_id


class Conflict(UnlostError):
    """It does not go with what is there (409): the id is another task's, or the task's state does
    not allow the call."""


class NotFound(UnlostError):
    """Nothing has this id (404), or nothing that the key may see."""


class Refused(UnlostError):
    """The service does not do this, and would not later: `problem` says why."""

    problem: Problem


class Unavailable(UnlostError):
    """No answer, or "not now" (429, 5xx), for as long as the client tries.  What the call was to
    do may have been done: make the same call again, with the same ids."""
