"""What goes in and out of `protocol.Workers`."""

from __future__ import annotations

import msgspec

from unlost.task import Micros


class Worker(msgspec.Struct, frozen=True):
    """One worker process.  `id` is its random incarnation; `types` is None for every type.

    A worker that runs `alone` takes only tasks whose last attempt was lost, one at a time.
    """

    id: str
    types: tuple[str, ...] | None = None
    alone: bool = False


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
