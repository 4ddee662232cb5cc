"""Workers, and what they run."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from unlost.api.openapi.schemas.fields import TaskId, Time


class RunningBody(msgspec.Struct, frozen=True, rename="camel"):
    """An attempt that runs."""

    task_id: TaskId
    type: str
    attempt: Annotated[int, Meta(ge=1)]
    started_at: Time


class WorkerBody(msgspec.Struct, frozen=True, rename="camel"):
    """A worker process: which types it takes (null: every), and what it runs, the oldest first and
    twenty at most.  One that works alone takes only tasks whose last attempt was lost.  One whose
    start takes longer than five seconds is `starting` until it has imported its handlers, and takes
    nothing.  With `pull` it claims by the API."""

    id: str
    types: list[str] | None
    alone: bool
    starting: bool
    pull: bool
    lease_until: Time
    running: list[RunningBody]
    running_count: int


class WorkersBody(msgspec.Struct, frozen=True):
    """The workers whose leases hold."""

    workers: list[WorkerBody]
