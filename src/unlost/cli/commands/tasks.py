"""`unlost task`, `unlost why` and `unlost tasks`: look at tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.client.answers import Page, TaskSeen, WhySeen, pages, seen
from unlost.cli.client.completers import states
from unlost.cli.client.connection import Refused, Service, read, task_path
from unlost.cli.client.similar_ids import explained
from unlost.cli.ledgers.target import HERE, Place
from unlost.cli.options import START, AsJson, Paging, switch
from unlost.cli.show.output import raw
from unlost.cli.show.tables import Columns
from unlost.cli.show.task import print_task, print_why
from unlost.cli.show.task_list import print_json, print_table
from unlost.cli.text import moment
from unlost.task import MAX_ID

MOST = 40
"""Tasks that follow from one, at most."""


def task(
    task_id: Annotated[str, Parameter(name="ID", help="the task's id")],
    /,
    *,
    steps: Annotated[bool, switch("--steps", "with what its steps returned")] = False,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Show one task: its state, every attempt and the waits between them, its last error."""
    with place.service(reading=True) as service, explained(service, task_id):
        answer = service.get(task_path("/tasks", task_id), {"include": "steps"} if steps else {})
        if json:
            raw(answer)
            return
        found = read(answer, TaskSeen)
        print_task(found, tracebacks=False, follow_ups=_follow_ups(service, found))


def _follow_ups(service: Service, task: TaskSeen) -> list[TaskSeen]:
    """What followed from a task, in order, as far as the caller's key may see it."""
    if task.state != "succeeded":
        return []
    try:
        found = read(service.get("/tasks", {"parent": task.task_id, "limit": MOST}), Page)
        return seen(found.tasks)[::-1]
    except Refused as refusal:
        if refusal.status != 403:
            raise
        return []


def why(
    task_id: Annotated[str, Parameter(name="ID", help="the task's id")],
    /,
    *,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Tell why a task is not running now, and what would change that."""
    with place.service(reading=True) as service, explained(service, task_id):
        answer = service.get(task_path("/tasks", task_id, "/why"))
    if json:
        raw(answer)
    else:
        print_why(read(answer, WhySeen))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which tasks are wanted.  Times are like 2030-01-31T12:00:00Z."""

    state: Annotated[
        str | None,
        Parameter(help="queued, running, retrying, succeeded, dead or cancelled", completer=states),
    ] = None
    type_: Annotated[str | None, Parameter(name="--type", help="the handler's name")] = None
    id_prefix: Annotated[str | None, Parameter(help="how the ids begin")] = None
    since: Annotated[str | None, Parameter(help="submitted at this time or later")] = None
    until: Annotated[str | None, Parameter(help="submitted before this time")] = None
    parent: Annotated[
        str | None, Parameter(help="submitted by this task's handler with its success")
    ] = None

    def query(self) -> dict[str, str | int | None]:
        """As the service wants them.  Raises WrongUsage for what it would refuse."""
        bounds.state(self.state)
        bounds.type_name(self.type_)
        bounds.text("--id-prefix", self.id_prefix, MAX_ID)
        bounds.instant("--since", self.since)
        bounds.instant("--until", self.until)
        bounds.text("--parent", self.parent, MAX_ID, 1)
        return {
            "state": self.state,
            "type": self.type_,
            "idPrefix": self.id_prefix,
            "since": self.since,
            "until": self.until,
            "parent": self.parent,
        }


ANY = Filters()

COLUMNS = Columns(
    ("task", "type", "state", "attempts", "submitted", "error"),
    whole="task",
    spare=("attempts", "type", "submitted", "error"),
)


def tasks(
    *,
    filters: Filters = ANY,
    paging: Paging = START,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """List tasks, newest first. Times are like 2030-01-31T12:00:00Z."""
    query = filters.query() | {"cursor": paging.cursor}
    with place.service(reading=True) as service:
        found = pages(service, "/tasks", query, paging.most())
        if json:
            print_json(found)
        else:
            print_table(found, COLUMNS, _row)


def _row(task: TaskSeen) -> tuple[str, ...]:
    return (
        task.task_id,
        task.type,
        task.state,
        str(task.attempt_count),
        moment(task.submitted_at),
        str(task.error or ""),
    )
