"""What goes through `protocol.DeadLetters` and `protocol.Reports`."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from unlost.task import SECOND, Micros, TaskError

RUN_PAUSE: Micros = 60 * SECOND
"""How long a run of bulk redrives waits for its next call."""


class Selection(msgspec.Struct, frozen=True):
    """Which dead letters to redrive; selectors mean *and*, none means all.

    Calls with the same selectors within `RUN_PAUSE` of each other are one *run* for as long as
    more is left: it redrives what was dead when it began, each once, so that a task which dies
    again at once does not keep it from ending.  `interval` spaces the next attempts, over all
    calls of a run.  `types` are those that the caller may act on, None for all.
    """

    task_ids: tuple[str, ...] | None = None
    fingerprint: str | None = None
    type: str | None = None
    limit: int = 1000
    interval: Micros = 0
    types: tuple[str, ...] | None = None

    def means(self, task_type: str) -> bool:
        """Whether tasks of this type are among those that are meant."""
        return self.type in (None, task_type) and (self.types is None or task_type in self.types)

    @property
    def run(self) -> str:
        """Names the run, in every process alike: a digest of the selectors."""
        selectors = (self.task_ids, self.fingerprint, self.type)
        bound = () if self.types is None else (self.types,)
        return sha256(msgspec.json.encode((*selectors, *bound))).hexdigest()


class Group(msgspec.Struct, frozen=True):
    """Dead letters that look alike."""

    fingerprint: str
    error_type: str
    sample: str
    count: int
    first_at: Micros
    last_at: Micros


class Report(msgspec.Struct, frozen=True):
    """A death that the monitor has not reported yet, as it was when the task died."""

    id: int
    task_id: str
    type: str
    payload: str
    error: TaskError
    attempt_count: int
    submitted_at: Micros
    died_at: Micros
