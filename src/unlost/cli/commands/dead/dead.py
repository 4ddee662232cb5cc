"""`unlost dead …`: look at dead letters, redrive them, discard them, take them out."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from unlost.cli.app import app
from unlost.cli.client.answers import Groups, TaskSeen, pages
from unlost.cli.client.completers import dead_letters, fingerprints
from unlost.cli.client.connection import Service, read, task_path
from unlost.cli.client.similar_ids import explained
from unlost.cli.commands.dead.calls import discard_one, discarded, export_lines, filters
from unlost.cli.commands.dead.following import begin_carefully, check_outcome, follow
from unlost.cli.commands.dead.forgetting import what_runs_again
from unlost.cli.commands.dead.redrive import (
    NOTHING,
    Redriven,
    Wish,
    check,
    check_all,
    description,
    first,
    is_single,
    matches_none,
    redrive_many,
    redrive_one,
    selected,
    sum_of,
)
from unlost.cli.commands.dead.workbench import workbench
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.ledgers.target import HERE, Place
from unlost.cli.options import START, AsJson, By, Paging, Reason, SumsAsJson, Yes, words
from unlost.cli.prompts import agree, asks
from unlost.cli.show.output import facts, on_terminal, raw
from unlost.cli.show.redrives import print_sums
from unlost.cli.show.tables import Columns, table
from unlost.cli.show.task import print_task
from unlost.cli.show.task_list import print_json, print_table
from unlost.cli.text import counted, moment, one_line

TypeFilter = Annotated[str | None, Parameter(name="--type", help="only of this handler")]
ErrorFilter = Annotated[
    str | None,
    Parameter(help="only with this error type or fingerprint", completer=fingerprints),
]
Ids = Annotated[
    tuple[str, ...],
    Parameter(name="ID", help="dead letters' ids", show_default=False, completer=dead_letters),
]

COLUMNS = Columns(
    ("task", "type", "attempts", "died", "error"),
    whole="task",
    spare=("attempts", "type", "died", "error"),
)
GROUP_COLUMNS = Columns(
    ("fingerprint", "count", "error", "first", "last", "sample"),
    whole="fingerprint",
    spare=("first", "last", "sample"),
)

NONE_MATCHES = "no dead letter matches; `unlost dead groups` shows what there is"

dead = App(
    name="dead",
    help="Look at dead letters, redrive, discard and export them.",
    help_epilogue="unlost dead COMMAND --help says more.",
)


@dead.default
def bench(*, by: By = None, place: Place = HERE) -> None:
    """Without a command, on a terminal: the workbench.

    Shows groups with their newest deaths; choose one to see a sample with its traceback and what a
    redrive would do, then redrive it as a canary, discard it or export it.
    """
    if not (sys.stdin.isatty() and on_terminal()):
        app.help_print(["dead"])
        return
    words(by, None)
    with place.service() as service:
        workbench(service, by)


@dead.command(name="list", help_epilogue="")
def list_(
    *,
    type_: TypeFilter = None,
    error: ErrorFilter = None,
    paging: Paging = START,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """List dead letters, newest death first."""
    query = {**filters(type_, error), "cursor": paging.cursor}
    with place.service(reading=True) as service:
        found = pages(service, "/dead-letters", query, paging.most())
        if json:
            print_json(found)
        else:
            print_table(found, COLUMNS, _row)


@dead.command(help_epilogue="")
def show(
    task_id: Annotated[str, Parameter(name="ID", help="the task's id", completer=dead_letters)],
    /,
    *,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Show why a task died: its payload and every attempt with its traceback."""
    with place.service(reading=True) as service, explained(service, task_id):
        answer = service.get(task_path("/tasks", task_id))
    letter = read(answer, TaskSeen)
    if letter.state != "dead":
        raise Failed(f"{task_id} is not a dead letter: it is {letter.state}")
    if json:
        raw(answer)
    else:
        print_task(letter, tracebacks=True)


@dead.command(help_epilogue="")
def groups(*, json: AsJson = False, place: Place = HERE) -> None:
    """Count dead letters by what killed them; the fingerprint names a group for redrive."""
    with place.service(reading=True) as service:
        answer = service.get("/dead-letters/groups")
    if json:
        raw(answer)
        return
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
    table(GROUP_COLUMNS, rows)


@dead.command(help_epilogue="", usage="Usage: unlost dead redrive [OPTIONS] [ID...]")
def redrive(
    ids: Ids = (),
    /,
    *,
    wish: Wish = NOTHING,
    yes: Yes = False,
    json: SumsAsJson = False,
    place: Place = HERE,
) -> None:
    """Give dead letters a fresh set of attempts.

    Selectors mean "and"; at least one must be given. Asks first on a terminal. With --canary one is
    redriven first, the rest only if it succeeds, and never more are under way than have succeeded
    before. The service does that by itself: this command watches, and may be ended.
    """
    check(ids, wish)
    with place.service() as service:
        if wish.canary:
            _redrive_carefully(service, ids, wish, yes=yes, as_json=json)
            return
        again = what_runs_again(service, ids, wish) if asks(yes) else ""
        agree(f"Redrive {description(ids, wish)}{again}?", yes)
        if is_single(ids, wish):
            with explained(service, ids[0]):
                made = [Redriven(redrive_one(service, ids[0], wish), more=False)]
        else:
            made = redrive_many(service, ids, wish)
        done, names = sum_of(made), [one.redrive for one in made if one.redrive]
        if json:
            raw(msgspec.json.encode({"redriven": done, "redrives": names}))
        else:
            facts([("redriven", str(done)), ("redrive", ", ".join(names))])
            if not (done or ids) and matches_none(service, made):
                print(NONE_MATCHES)
        if done < len(set(ids)):
            check_all(ids, wish, lambda: selected(service, made))


def _redrive_carefully(
    service: Service, ids: tuple[str, ...], wish: Wish, *, yes: bool, as_json: bool
) -> None:
    again = what_runs_again(service, ids, wish) if asks(yes) else ""
    agree(f"Redrive {description(ids, wish)}: {first(wish.canary)}{again}?", yes)
    redrive = begin_carefully(service, ids, wish)
    try:
        follow(redrive)
    finally:
        if as_json:
            raw(msgspec.json.encode(redrive.seen))
        else:
            print_sums(redrive.seen)
            if redrive.seen.selected == 0 and not ids:
                print(NONE_MATCHES)
    check_outcome(redrive)
    check_all(ids, wish, lambda: redrive.seen.selected or 0)


@dead.command(help_epilogue="", usage="Usage: unlost dead discard [OPTIONS] ID...")
def discard(
    ids: Ids,
    /,
    *,
    by: By = None,
    reason: Reason = None,
    yes: Yes = False,
    json: SumsAsJson = False,
    place: Place = HERE,
) -> None:
    """Give dead letters up: each becomes cancelled, its history stays. Asks on a terminal."""
    if not ids:
        raise WrongUsage("name the dead letters to discard: unlost dead discard ID…")
    said = words(by, reason)
    with place.service() as service:
        agree(f"Discard {counted(len(ids), 'dead letter')} for good?", yes)
        if len(ids) == 1:
            with explained(service, ids[0]):
                discard_one(service, ids[0], said)
            refused = {}
        else:
            every = {task_id: discarded(service, task_id, said) for task_id in dict.fromkeys(ids)}
            refused = {task_id: why for task_id, why in every.items() if why is not None}
    done = len(set(ids)) - len(refused)
    if json:
        listed = [{"taskId": name, "detail": why} for name, why in refused.items()]
        raw(msgspec.json.encode({"discarded": done, "refused": listed}))
    else:
        for name, why in refused.items():
            print(one_line(f"{name}: {why}"), file=sys.stderr)
        facts([("discarded", str(done))])
    if refused:
        raise Failed(f"{len(refused)} of {counted(len(ids), 'id')} could not be discarded")


@dead.command(help_epilogue="")
def export(*, type_: TypeFilter = None, error: ErrorFilter = None, place: Place = HERE) -> None:
    """Write every dead letter whole to stdout, one JSON object a line.

    Payloads come as they went in.
    """
    sys.stdout.flush()
    out = sys.stdout.buffer
    with place.service(reading=True) as service:
        for page in export_lines(service, type_, error):
            out.writelines(page)
            out.flush()


def _row(letter: TaskSeen) -> tuple[str, ...]:
    return (
        letter.task_id,
        letter.type,
        str(letter.attempt_count),
        moment(letter.updated_at),
        str(letter.error or ""),
    )
