"""`unlost workers`: who works, and on what."""

from __future__ import annotations

from datetime import datetime

import msgspec

from unlost.cli.client.connection import read
from unlost.cli.ledgers.target import HERE, Place
from unlost.cli.options import AsJson
from unlost.cli.show.output import raw
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import moment


class RunningSeen(msgspec.Struct, rename="camel"):
    task_id: str
    type: str
    attempt: int
    started_at: datetime


class WorkerSeen(msgspec.Struct, rename="camel"):
    id: str
    types: list[str] | None
    alone: bool
    lease_until: datetime
    running: list[RunningSeen]
    running_count: int
    starting: bool = False
    pull: bool = False


class WorkersSeen(msgspec.Struct):
    workers: list[WorkerSeen]


COLUMNS = Columns(
    ("worker", "types", "lease until", "running", "oldest", "since"),
    whole="worker",
    spare=("lease until", "types", "since"),
)


def workers(*, json: AsJson = False, place: Place = HERE) -> None:
    """List the worker processes: the types that each takes, how much it runs, and its oldest task.

    With --json, up to twenty of the tasks that each runs.
    """
    with place.service(reading=True) as service:
        answer = service.get("/workers")
    if json:
        raw(answer)
    else:
        table(COLUMNS, [_row(one) for one in read(answer, WorkersSeen).workers])


def _row(one: WorkerSeen) -> tuple[str, ...]:
    types = "every type" if one.types is None else ", ".join(one.types)
    if one.starting:
        types = "none yet: it is starting"
    elif one.alone:
        types += ", what was lost alone"
    elif one.pull:
        types += ", by the API"
    oldest = one.running[0] if one.running else None
    return (
        one.id,
        types,
        moment(one.lease_until),
        str(one.running_count),
        oldest.task_id if oldest else "",
        moment(oldest.started_at) if oldest else "",
    )
