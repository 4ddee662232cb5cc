"""`unlost dead` on a terminal: groups, one of them, and what can be done about it."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime

from unlost.cli.client.answers import Groups, GroupSeen, Page, StatsSeen, TaskSeen, seen
from unlost.cli.client.connection import NoService, Refused, Service, read, task_path
from unlost.cli.commands.dead.preview import Hindrances, preview, timelines
from unlost.cli.commands.dead.workbench_actions import discard_all, export_to, redrive_group
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.prompts import answer
from unlost.cli.show.tables import Columns, table
from unlost.cli.show.task import print_task, print_tracebacks
from unlost.cli.show.types import TypesSeen
from unlost.cli.text import counted, one_line

SHOWN = 20
"""Groups that are shown: those with most dead letters."""

LOOKED_AT = 1000
"""Dead letters of a group that are looked at for its preview."""

PLOTTED = 200
"""Newest deaths of a group that are plotted."""

CHOICES = """
c  redrive as a canary: one first, the rest only if it succeeds
n  show another one (n ID: that one)
d  discard all of them, with a reason (d ID: that one)
e  export them to a file
b  back to the groups
q  leave
"""


@dataclass(frozen=True)
class Chosen:
    """A group, and the newest of its dead letters."""

    group: GroupSeen
    letters: list[TaskSeen]


def workbench(service: Service, by: str | None) -> None:
    """Show groups, let one be chosen, do what is asked for, until there is no more to do.

    Raises what the service refuses at the beginning; later it is told, and goes on.
    """
    who = by or _login()
    while groups := _shown(service):
        asked = answer(f"which group? (1-{len(groups)}, r: look again, q: leave)")
        if asked in ("q", None):
            return
        if asked.isascii() and asked.isdigit() and 1 <= int(asked) <= len(groups):
            if not _at_group(service, groups[int(asked) - 1], who):
                return
        elif asked not in ("r", ""):
            print(f"there is no {one_line(asked)}")
    print("there are no dead letters")


def _login() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _shown(service: Service) -> list[GroupSeen]:
    """Print the groups, most dead letters first; those that were shown."""
    every = read(service.get("/dead-letters/groups"), Groups).groups
    groups = every[:SHOWN]
    deaths = {one.fingerprint: _newest(service, one.fingerprint, PLOTTED) for one in groups}
    times = {name: [letter.updated_at for letter in found] for name, found in deaths.items()}
    back, plots = timelines(times, datetime.now(UTC))
    columns = Columns(("", "count", back, "error", "sample"), whole=back, spare=("sample",))
    if groups:
        rows = [
            (str(at), str(one.count), plots[one.fingerprint], one.error_type, one.sample)
            for at, one in enumerate(groups, 1)
        ]
        table(columns, rows)
    if len(every) > SHOWN:
        print(f"and {counted(len(every) - SHOWN, 'smaller group')}: `unlost dead groups`")
    return groups


def _newest(service: Service, fingerprint: str, most: int) -> list[TaskSeen]:
    answered = service.get("/dead-letters", {"error": fingerprint, "limit": most})
    return seen(read(answered, Page).tasks)


def _at_group(service: Service, group: GroupSeen, by: str | None) -> bool:
    """Work on one group; whether to go on with others."""
    chosen = Chosen(group, _newest(service, group.fingerprint, LOOKED_AT))
    if not chosen.letters:
        return True
    _show(service, chosen.letters[0].task_id)
    _preview(service, chosen)
    at = 0
    while True:
        print(CHOICES, end="")
        word, _, rest = (answer("what now?") or "q").partition(" ")
        if word in ("b", "q"):
            return word == "b"
        try:
            if word == "n":
                at = (at + 1) % len(chosen.letters)
                _show(service, rest or chosen.letters[at].task_id)
            elif word in ("c", "d", "e"):
                if _done(service, chosen, word, rest, by):
                    return True
            else:
                print(f"there is no {one_line(word)}")
        except (NoService, Refused, Failed, WrongUsage, OSError) as trouble:
            print(one_line(str(trouble)))


def _done(service: Service, chosen: Chosen, word: str, rest: str, by: str | None) -> bool:
    """Do something to the group; whether it is another one by then."""
    if word == "e":
        export_to(service, chosen.group, rest)
        return False
    if word == "d":
        return discard_all(service, chosen.group, rest, by)
    return redrive_group(service, chosen.group, by)


def _show(service: Service, task_id: str) -> None:
    """One dead letter, with the traceback of its last attempt."""
    letter = read(service.get(task_path("/tasks", task_id)), TaskSeen)
    print()
    print_task(letter, tracebacks=False)
    print_tracebacks(letter.attempts[-1:])


def _preview(service: Service, chosen: Chosen) -> None:
    print()
    for line in preview(chosen.group.count, chosen.letters, _hindrances(service)):
        print(line)


def _hindrances(service: Service) -> Hindrances:
    """What would keep tasks waiting, as far as this service tells."""
    unhandled = read(service.get("/stats"), StatsSeen).unhandled_types
    try:
        types = read(service.get("/types"), TypesSeen).types
    except Refused:
        types = []
    return Hindrances(
        unhandled,
        [one.type for one in types if one.pause],
        [one.type for one in types if one.circuit == "open"],
    )
