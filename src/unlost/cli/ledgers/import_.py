"""`unlost import`: what `unlost export` wrote, into another ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from stat import S_ISREG
from typing import Annotated, BinaryIO

import msgspec
from cyclopts import Parameter

from unlost.audit import Audit, audit
from unlost.cli import bounds
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.ledgers.opening import LedgerUrl, home_of, on_ledger
from unlost.cli.options import SumsAsJson
from unlost.cli.show.audit import AuditSeen, check, print_audit
from unlost.cli.show.output import raw
from unlost.cli.show.progress.bar import Sums, shown
from unlost.cli.text import counted
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.moving.control_line import set_again
from unlost.moving.document import Beside, NotAnExport, Sum, lines, tasks
from unlost.moving.reading import seen_in, summed
from unlost.moving.schedules import NoRoom, paused_here, schedule_again
from unlost.moving.taking import BATCH, Conflict, OtherTasks, Taken, take

LISTED = 20
"""How many schedules are named; --json has all."""

RESUME = "running the import again goes on"


class Imported(msgspec.Struct, frozen=True):
    """The sums of an import; `replayed` were there already.  `paused` are the schedules that were
    not paused where they came from, and are here."""

    tasks: int
    replayed: int
    digest: str
    audit: Audit
    paused: list[str]


def import_(
    file: Annotated[
        str,
        Parameter(name="FILE", help="an export; - is standard input", allow_leading_hyphen=True),
    ],
    /,
    *,
    ledger: LedgerUrl,
    json: SumsAsJson = False,
) -> None:
    """Keep in an empty ledger what `unlost export` wrote, as it was, but schedules are paused.

    A file is read through before anything is kept, so that one that is cut off or was altered
    changes nothing. An import that was interrupted goes on when it is run again. At the end the
    ledger's own tasks are read again and compared with the export, and the audit runs; exit status
    1 if either finds anything. Start no service on the ledger before that. Schedules that it names
    as paused are for you to resume.
    """
    bounds.file(file)
    if home_of(ledger) == "memory":
        raise WrongUsage(f"{ledger} lives in one process only: nothing would be left of it")
    with _opened(file) as (source, size):
        if size is not None:
            _verify(file, source, size)
        done = on_ledger(
            ledger, lambda opened: _import(opened, file, source, size), must_exist=False
        )
    _tell(done, as_json=json)


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file, and its size; None for what can be read only once."""
    descriptor = os.dup(0) if file == "-" else os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as source:
        status = os.fstat(source.fileno())
        yield source, status.st_size if S_ISREG(status.st_mode) else None


def _verify(file: str, source: BinaryIO, size: int) -> None:
    """Read it to its end, then go back to where it began.  Raises Failed."""
    start, checked = source.tell(), Taken()
    try:
        with shown(size, lambda: Sums(checked.read, checked.tasks), "tasks checked") as refresh:
            for _, length in tasks(lines(source), Sum(), Beside()):
                checked.tasks += 1
                checked.read += length
                if checked.tasks % BATCH == 0:
                    refresh()
    except NotAnExport as error:
        raise Failed(f"{file}: {error}; nothing was imported") from error
    source.seek(start)


async def _import(ledger: Ledger, file: str, source: BinaryIO, size: int | None) -> Imported:

    seen, taken, beside = Sum(), Taken(), Beside()
    with shown(size, lambda: Sums(taken.read, taken.tasks), "tasks imported") as refresh:
        await _take(ledger, file, source, seen, taken, beside, refresh)
    kept = await seen_in(ledger, seen)
    if kept != seen:
        raise Failed(
            f"the ledger now holds {counted(kept.tasks, 'task')} with digest {kept.digest[:16]}…,"
            f" the export {seen.tasks} with {seen.digest[:16]}…"
        )
    paused = await paused_here(ledger, beside.schedules)
    return Imported(seen.tasks, taken.there, seen.digest, await audit(ledger), paused)


async def _take(
    ledger: Ledger,
    file: str,
    source: BinaryIO,
    seen: Sum,
    taken: Taken,
    beside: Beside,
    refresh: Callable[[], None],
) -> None:
    there = await summed(ledger)
    copies = tasks(lines(source), seen, beside)
    try:
        await take(ledger, copies, seen, there, taken, refresh)
        await set_again(ledger, beside.controls)
        for start in range(0, len(beside.redrives), BATCH):
            await ledger.restore_redrives(beside.redrives[start : start + BATCH])
        await schedule_again(ledger, beside.schedules)
    except NoRoom:
        raise Failed(f"the ledger has no room for its schedules; {_are_in(taken)}") from None
    except OtherTasks:
        raise Failed(
            f"the ledger holds {counted(there.tasks, 'task')} that are not the first of this"
            " export; import into an empty one"
        ) from None
    except NotAnExport as error:
        raise Failed(f"{file}: {error}; {_are_in(taken)}") from error
    except Conflict as error:
        raise Failed(f"another task has the id {error} already; {_are_in(taken)}") from error
    except LedgerUnavailable as error:
        raise Failed(f"{error}; {_are_in(taken)}, {RESUME}") from error


def _are_in(taken: Taken) -> str:
    return f"{counted(taken.tasks, 'task')} {'is' if taken.tasks == 1 else 'are'} in"


def _tell(done: Imported, *, as_json: bool) -> None:
    """Print the sums, and what the audit found.  Raises Failed where a promise is broken."""
    audit = msgspec.json.decode(msgspec.json.encode(done.audit), type=AuditSeen)
    if as_json:
        raw(msgspec.json.encode(done))
    else:
        fresh = done.tasks - done.replayed
        were = "was" if done.replayed == 1 else "were"
        print(
            f"{counted(fresh, 'task')} imported, {done.replayed} {were} there, digest {done.digest}"
        )
        print_audit(audit)
        _tell_paused(done.paused)
    check(audit)


def _tell_paused(names: list[str]) -> None:
    """Say which schedules make no tasks until somebody resumes them."""
    if not names:
        return
    more = len(names) - LISTED
    listed = ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
    it = "it" if len(names) == 1 else "each"
    print(
        f"{counted(len(names), 'schedule')} came paused: {listed}; once a service runs here alone,"
        f" `unlost schedule resume ID` has {it} go on"
    )
