"""`unlost schedule …`: set schedules, look at them, pause and run them, apply a file of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from unlost.cli import bounds
from unlost.cli.client.answers import TaskSeen
from unlost.cli.client.completers import schedules
from unlost.cli.client.connection import Refused, Service, read
from unlost.cli.client.flags import by_flags
from unlost.cli.client.insisting import call_id, insist
from unlost.cli.commands.schedule import applying
from unlost.cli.commands.schedule.calls import every, listed, path
from unlost.cli.commands.schedule.plan import USUAL, Plan
from unlost.cli.failures import Failed
from unlost.cli.ledgers.target import HERE, Place
from unlost.cli.options import AsJson, By, Reason, Yes, switch, words
from unlost.cli.prompts import agree
from unlost.cli.show.output import facts, raw
from unlost.cli.show.schedules import ScheduleSeen, print_schedule, print_schedules, tell
from unlost.cli.text import counted, one_line
from unlost.task import MAX_ID

Id = Annotated[str, Parameter(name="ID", help="the schedule's id", completer=schedules)]
AppliedAsJson = Annotated[bool, switch("--json", "print what became of each as JSON")]

schedule = App(
    name="schedule",
    help="Set schedules, look at them, pause and run them; set all that a file says.",
    help_epilogue="unlost schedule COMMAND --help says more.",
)


@schedule.command(name="set", help_epilogue="")
def set_(
    schedule_id: Id, /, *, plan: Plan = USUAL, json: AsJson = False, place: Place = HERE
) -> None:
    """Make a schedule, or make the one that is there into this.

    What is not given is as usual, not as it was; only a pause stays. Tells the next time, and what
    clock changes within a year do to its times.
    """
    where, body = path(schedule_id), plan.body()
    with place.service() as service, by_flags():
        answer = service.put(where, body)
    if json:
        raw(answer)
    else:
        tell(read(answer, ScheduleSeen), warned=True)


@schedule.command(name="list", help_epilogue="")
def list_(*, json: AsJson = False, place: Place = HERE) -> None:
    """List all schedules by id, with their next and last times."""
    with place.service(reading=True) as service:
        if json:
            found = [bytes(one) for one in listed(service)]
            raw(b'{"schedules":[' + b",".join(found) + b"]}")
        else:
            print_schedules(every(service))


@schedule.command(help_epilogue="")
def show(schedule_id: Id, /, *, json: AsJson = False, place: Place = HERE) -> None:
    """Show a schedule: its next five times, and what its last ones came to."""
    where = path(schedule_id)
    with place.service(reading=True) as service:
        answer = service.get(where, {"include": "ticks"})
    if json:
        raw(answer)
    else:
        print_schedule(read(answer, ScheduleSeen))


@schedule.command(help_epilogue="")
def delete(
    schedule_id: Id,
    /,
    *,
    yes: Yes = False,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Delete a schedule; its tasks stay. Asks on a terminal."""
    where = path(schedule_id)
    with place.service() as service:
        known = _is_known(service, where)
        agree(f"Delete the schedule {schedule_id}?", yes)
        service.delete(where)
    if json:
        raw(msgspec.json.encode({"deleted": [schedule_id] if known else []}))
    elif known:
        print(one_line(f"{schedule_id}: deleted; its tasks stay"))
    else:
        print(one_line(f"{schedule_id}: no schedule has this id"))


def _is_known(service: Service, where: str) -> bool:
    """Whether it is there, as far as the key may see: deleting one that is not is no failure."""
    try:
        service.get(where)
    except Refused as refusal:
        return refusal.status != 404
    return True


@schedule.command(help_epilogue="")
def run(
    schedule_id: Id,
    /,
    *,
    task_id: Annotated[
        str | None, Parameter(help="the task's id: given again, it is not submitted again")
    ] = None,
    by: By = None,
    reason: Reason = None,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """Submit its task now, whatever its times say."""
    bounds.name("--task-id", task_id, MAX_ID)
    task_id = task_id or f"{schedule_id}:run:{call_id()}"  # sent twice, it is one task
    body = msgspec.json.encode({"taskId": task_id} | words(by, reason))
    where = path(schedule_id, "/run")
    with place.service() as service:
        answer = insist(lambda: service.post(where, body, expected=(200, 202)))
    if json:
        raw(answer)
    else:
        task = read(answer, TaskSeen)
        print(one_line(f"{task.task_id}: {task.state}"))


def _acting(call: str) -> Callable[..., None]:
    """The command that makes this call of a schedule."""

    def act(
        schedule_id: Id,
        /,
        *,
        by: By = None,
        reason: Reason = None,
        json: AsJson = False,
        place: Place = HERE,
    ) -> None:
        where = path(schedule_id, f"/{call}")
        with place.service() as service:
            answer = service.post(where, msgspec.json.encode(words(by, reason)))
        if json:
            raw(answer)
        else:
            tell(read(answer, ScheduleSeen))

    return act


PAUSE = "Let no time of it come to a task until it is resumed. What passes meanwhile is not missed."
RESUME = "Let its times come to tasks again."

schedule.command(_acting("pause"), name="pause", help=PAUSE, help_epilogue="")
schedule.command(_acting("resume"), name="resume", help=RESUME, help_epilogue="")


@schedule.command(help_epilogue="")
def apply(
    file: Annotated[
        str,
        Parameter(name="FILE", help="JSON or YAML; - is standard input", allow_leading_hyphen=True),
    ],
    /,
    *,
    prune: Annotated[bool, switch("--prune", "delete schedules that it does not name")] = False,
    yes: Yes = False,
    json: AppliedAsJson = False,
    place: Place = HERE,
) -> None:
    """Set all schedules of a file: a mapping of ids to what PUT takes, in JSON or YAML.

    If one is refused, none is set, and each refusal is told. What is like that already stays
    untouched. With --prune, asks on a terminal before it deletes.
    """
    bodies = _bodies(file)
    with place.service() as service:
        applying.check(service, bodies)
        before = applying.known(service)
        extra = [name for name in before if name not in bodies] if prune else []
        applying.check_room(bodies, before, extra)
        if extra:
            agree(f"Delete {counted(len(extra), 'schedule')} that {file} does not name?", yes)
        done = applying.apply(service, bodies, before, extra)
    if json:
        raw(msgspec.json.encode(done))
        return
    facts(
        (name, str(len(which)))
        for name, which in (
            ("created", done.created),
            ("changed", done.changed),
            ("unchanged", done.unchanged),
            ("deleted", done.deleted),
        )
    )
    for name, warnings in done.warnings.items():
        for warning in warnings:
            print(one_line(f"{name}: {warning}"))


def _bodies(file: str) -> dict[str, bytes]:
    """What the file says.  Raises Failed where it says no schedules, OSError."""
    from unlost.cli.commands.schedule import bodies

    bounds.file(file)
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return bodies.read(text)
    except bodies.BadFile as bad:
        raise Failed(f"{file} {bad}") from None
