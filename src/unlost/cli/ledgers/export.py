"""`unlost export`: a whole ledger as lines of JSON."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from cyclopts import Parameter

from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.ledgers.opening import LedgerUrl, home_of, on_ledger
from unlost.cli.options import SumsAsJson, switch
from unlost.cli.show.output import raw
from unlost.cli.show.progress.bar import Sums, shown
from unlost.cli.text import counted
from unlost.ledger.protocol import Ledger, exact_counts
from unlost.moving.document import NotAnExport
from unlost.moving.giving import give, head, schedules
from unlost.moving.part import OtherLedger, Part, check, resumed
from unlost.settings import WrongSetting, value_of

MOVED = (
    "warning: tasks ran or changed meanwhile, so the export is of no single moment;"
    " stop the service before a move"
)


class Exported(msgspec.Struct, frozen=True):
    """The sums of an export.  `still`: nothing ran or changed meanwhile."""

    tasks: int
    digest: str
    still: bool


def export(
    *,
    ledger: LedgerUrl,
    out: Annotated[
        str | None, Parameter(metavar="FILE", help="write to this new file, not to stdout")
    ] = None,
    redact: Annotated[
        str | None,
        Parameter(
            env_var="UNLOST_REDACT",
            metavar="POINTERS",
            help="JSON pointers to what is masked of payloads and results, with commas",
        ),
    ] = None,
    whole: Annotated[bool, switch("--whole", "mask nothing, whatever --redact says")] = False,
    json: SumsAsJson = False,
) -> None:
    """Write a whole ledger as NDJSON: tasks, attempts, dead letters, and all that is kept of them.

    With `--out` it writes to FILE.part until all is there; interrupted, it goes on where it
    stopped when it is run again. For a move, stop the service first: each task is as it was when
    it was read. What --redact names is masked; an export with masks cannot be imported.
    """
    masked = () if whole else _pointers(redact)
    if out is None:
        if json:
            raise WrongUsage("--json needs --out: stdout is taken by the export")

        sys.stdout.flush()
        done = on_ledger(
            ledger,
            lambda opened: _export(opened, ledger, Part(), sys.stdout.buffer, masked),
            reading=True,
        )
    else:
        done = _export_to(ledger, Path(out), masked)
    if not done.still:
        print(MOVED, file=sys.stderr)
    if json:
        raw(msgspec.json.encode(done))
    else:
        told = f"{counted(done.tasks, 'task')} exported, digest {done.digest}"
        print(told, file=sys.stderr if out is None else sys.stdout)


def _pointers(redact: str | None) -> tuple[str, ...]:
    try:
        pointers: tuple[str, ...] = value_of("redact", {"redact": redact}, {})
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    return pointers


def _export_to(url: str, out: Path, masked: tuple[str, ...]) -> Exported:
    begun = out.with_name(f"{out.name}.part")

    async def run(ledger: Ledger) -> Exported:
        try:
            part = resumed(file)
            await check(part, ledger, home_of(url), masked)
        except (NotAnExport, OtherLedger):
            raise Failed(f"{begun} is not a part of this ledger's export: remove it") from None
        return await _export(ledger, url, part, file, masked)

    with _only(begun, out) as file:
        try:
            done = on_ledger(url, run, reading=True)
        except BaseException:
            if not os.fstat(file.fileno()).st_size:
                begun.unlink(missing_ok=True)  # nothing in it to go on from
            raise
        file.flush()
        os.fsync(file.fileno())
        begun.rename(out)
    _sync_folder(out)
    return done


async def _export(
    ledger: Ledger, url: str, part: Part, file: BinaryIO, masked: tuple[str, ...]
) -> Exported:
    planned = await schedules(ledger)
    counts = await exact_counts(ledger)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    begun = head(home_of(url), now, counts, masked)

    def sums() -> Sums:
        return Sums(part.sum.tasks, part.sum.tasks)

    with shown(counts.accepted, sums, "tasks exported") as refresh:
        still = await give(ledger, begun, part, counts.position, planned, file.write, refresh)
    file.flush()
    return Exported(part.sum.tasks, part.sum.digest, still)


@contextmanager
def _only(begun: Path, out: Path) -> Iterator[BinaryIO]:
    """The file that this process alone writes.  Raises Failed."""
    if out.exists():
        raise Failed(f"{out} is there already")
    descriptor = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"{begun} is being written by another export") from None
        yield file


def _sync_folder(file: Path) -> None:
    """A name is durable once its folder is."""
    folder = os.open(file.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
