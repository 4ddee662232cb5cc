"""`unlost dead …`: look at dead letters, redrive them, discard them, take them out."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from unlost.cli.answers import Groups, TaskSeen, pages
from unlost.cli.connection import HERE, Connection, Refused, Service, read, task_path
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.listing import print_json, print_table
from unlost.cli.options import START, AsJson, By, Paging, Reason, Yes
from unlost.cli.output import facts, moment, one_line, raw, table
from unlost.cli.picture import print_task
from unlost.cli.questions import agreed
from unlost.cli.redriving import (
    NOTHING,
    Wish,
    check,
    counted,
    description,
    is_single,
    redrive_many,
    redrive_one,
)

TypeFilter = Annotated[str | None, Parameter(name="--type", help="only of this handler")]
ErrorFilter = Annotated[str | None, Parameter(help="only with this error type or fingerprint")]
Ids = Annotated[tuple[str, ...], Parameter(name="ID", show_default=False)]

EXPORT_PAGE = 100

dead = App(name="dead", help="Look at dead letters, redrive, discard and export them.")


@dead.command(name="list")
def list_(
    *,
    type_: TypeFilter = None,
    error: ErrorFilter = None,
    paging: Paging = START,
    json: AsJson = False,
    connection: Connection = HERE,
) -> None:
    """List dead letters, newest death first."""
    query = {"type": type_, "error": error, "cursor": paging.cursor}
    with Service(connection) as service:
        found = pages(service, "/dead-letters", query, paging.most())
        if json:
            print_json(found)
        else:
            print_table(found, ("task", "type", "attempts", "died", "error"), _row)


@dead.command
def show(
    task_id: Annotated[str, Parameter(name="ID", help="the task's id")],
    /,
    *,
    json: AsJson = False,
    connection: Connection = HERE,
) -> None:
    """Show why a task died: its payload and every attempt with its traceback."""
    with Service(connection) as service:
        answer = service.get(task_path("/tasks", task_id))
    letter = read(answer, TaskSeen)
    if letter.state != "dead":
        raise Failed(f"{task_id} is not a dead letter: it is {letter.state}")
    if json:
        raw(answer)
    else:
        print_task(letter, tracebacks=True)


@dead.command
def groups(*, json: AsJson = False, connection: Connection = HERE) -> None:
    """Count dead letters by what killed them; the fingerprint names a group for redrive."""
    with Service(connection) as service:
        answer = service.get("/dead-letters/groups")
    if json:
        raw(answer)
        return
    heads = ("fingerprint", "count", "error", "first", "last", "sample")
    rows = [
        (
            group.fingerprint,
            str(group.count),
            group.error_type,
            moment(group.first_at),
            moment(group.last_at),
            group.sample,
        )
        for group in read(answer, Groups).groups
    ]
    table(heads, rows)


@dead.command
def redrive(
    ids: Ids = (),
    /,
    *,
    wish: Wish = NOTHING,
    yes: Yes = False,
    connection: Connection = HERE,
) -> int:
    """Give dead letters a fresh set of attempts.

    Selectors mean "and"; at least one must be given. Asks first on a terminal.
    """
    check(ids, wish)
    with Service(connection) as service:
        if not agreed(f"Redrive {description(ids, wish)}?", yes):
            return 1
        if is_single(ids, wish):
            return redrive_one(service, ids[0], wish)
        return redrive_many(service, ids, wish)


@dead.command
def discard(
    ids: Ids,
    /,
    *,
    by: By = None,
    reason: Reason = None,
    yes: Yes = False,
    connection: Connection = HERE,
) -> int:
    """Give dead letters up: each becomes cancelled, its history stays. Asks on a terminal."""
    if not ids:
        raise WrongUsage("name the dead letters to discard: unlost dead discard ID…")
    words = {"by": by, "reason": reason}
    body = msgspec.json.encode({key: word for key, word in words.items() if word is not None})
    with Service(connection) as service:
        if not agreed(f"Discard {counted(len(ids))} for good?", yes):
            return 1
        discarded = sum(_discarded(service, task_id, body) for task_id in ids)
    facts([("discarded", str(discarded))])
    return 0 if discarded == len(ids) else 1


@dead.command
def export(
    *, type_: TypeFilter = None, error: ErrorFilter = None, connection: Connection = HERE
) -> None:
    """Write every dead letter whole to stdout, one JSON object a line.

    Payloads come as they went in.
    """
    query = {"type": type_, "error": error, "include": "payload,result,attempts,traceback"}
    sys.stdout.flush()
    out = sys.stdout.buffer
    with Service(connection) as service:
        for page in pages(service, "/dead-letters", query, None, EXPORT_PAGE):
            # A line feed between two tokens of JSON is as good as a space; no token has one.
            out.writelines(bytes(letter).replace(b"\n", b" ") + b"\n" for letter in page.tasks)
            out.flush()


def _row(letter: TaskSeen) -> tuple[str, ...]:
    return (
        letter.task_id,
        letter.type,
        str(letter.attempt_count),
        moment(letter.updated_at),
        str(letter.error or ""),
    )


def _discarded(service: Service, task_id: str, body: bytes) -> bool:
    try:
        service.delete(task_path("/dead-letters", task_id), body)
    except Refused as refusal:
        print(f"unlost: {one_line(f'{task_id}: {refusal}')}", file=sys.stderr)
        return False
    return True
