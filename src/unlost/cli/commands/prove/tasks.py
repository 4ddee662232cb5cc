"""The tasks of a proof: from a file as `unlost submit` reads it, or made up."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from io import FileIO

import msgspec

from unlost.api.calls.tasks import CONFLICT
from unlost.api.problems import Malformed, Problem
from unlost.api.request.submission import read
from unlost.cli.client.ndjson import LONGEST_LINE, Pause, item, lines, option_members
from unlost.cli.client.repeats import Repeats
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.show.progress.tally import LISTED, Rejection
from unlost.cli.text import counted, one_line
from unlost.jsontext import NotJson
from unlost.prove.submitting import Job
from unlost.task import DEFAULT_TYPE, Submission

MOST = 10_000
"""Tasks that a proof takes."""

Types = Collection[str] | None
"""The types that the handlers serve; None is every one."""


def made_up(types: Types, count: int) -> list[Job]:
    """`count` tasks of each type, with an empty payload."""
    return [
        Job(task_id, kind, msgspec.json.encode({"taskId": task_id, "type": kind, "payload": {}}))
        for kind in ([DEFAULT_TYPE] if types is None else types)
        for number in range(1, count + 1)
        for task_id in (f"{kind}-{number}",)
    ]


def from_file(file: str, type_: str | None, types: Types, handler: str) -> list[Job]:
    """The tasks of an NDJSON file, each id once.  Bare payloads get the type `type_`.

    Raises Failed, after the lines that no service would take were told, and for a type that no
    handler serves.
    """
    options = option_members({"type": type_ or _usual(types)})
    with FileIO(0 if file == "-" else file, closefd=file != "-") as source:
        found = list(_read(source, options))
    rejected = [one for one in found if isinstance(one, Rejection)]
    for one in rejected[:LISTED]:
        _tell(one.line, one.task_id, f"{one.status} {one.detail}")
    if rejected:
        were = "was" if len(rejected) == 1 else "were"
        raise Failed(f"{counted(len(rejected), 'line')} {were} rejected")
    jobs = {
        job.task_id: (line, job) for line, job in (one for one in found if isinstance(one, tuple))
    }
    for line, job in jobs.values():
        if types is not None and job.type not in types:
            _tell(line, job.task_id, f"{handler} has no handler for tasks of type {job.type!r}")
            raise Failed("a task has a type that no handler serves")
    if not jobs:
        raise Failed(f"there are no tasks in {file}")
    return [job for _, job in jobs.values()]


def _usual(types: Types) -> str | None:
    """The type that a bare payload has if none is named: the only one there is."""
    return next(iter(types)) if types is not None and len(types) == 1 else None


def _read(source: FileIO, options: bytes) -> Iterator[tuple[int, Job] | Rejection]:
    """Each line as a job, or as what a service would say of it."""
    seen, known = Repeats(), dict[str, Submission]()
    for line in lines(source, lambda: False):
        if isinstance(line, Pause):
            continue
        if line.text is None:
            yield Rejection(line.number, None, 413, f"the line is longer than {LONGEST_LINE} bytes")
            continue
        try:
            body = item(line.number, line.text, line.read, options, seen).body
            task = read(body)
        except NotJson as error:
            yield Rejection(line.number, None, 400, f"not JSON: {error}")
        except Problem as problem:
            yield Rejection(line.number, _id_of(line.text, problem), problem.status, problem.detail)
        else:
            if known.setdefault(task.task_id, task).digest != task.digest:
                yield Rejection(line.number, task.task_id, 409, CONFLICT)
            elif len(known) > MOST:
                raise WrongUsage(f"--tasks: a proof takes at most {MOST} tasks")
            else:
                yield line.number, Job(task.task_id, task.type, body)


class _Named(msgspec.Struct, rename="camel"):
    task_id: str | None = None


def _id_of(text: bytes, problem: Problem) -> str | None:
    """The id of a task that is refused, if it can be told."""
    if isinstance(problem, Malformed):
        return None
    try:
        return msgspec.json.decode(text, type=_Named).task_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _tell(line: int, task_id: str | None, detail: str) -> None:
    name = f" ({task_id})" if task_id else ""
    print(one_line(f"line {line}{name}: {detail}"), file=sys.stderr)
