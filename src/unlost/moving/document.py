"""An export: a head, a line a task, a line for each type for which something is set, a line a
redrive, a line a schedule, and a last line with the tasks' number and digest.

The digest is the sum, modulo 2^256, of the SHA-256 of each task's canonical form, so that it does
not depend on the order, nor on the positions, which every ledger gives anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import BinaryIO, TypeVar

import msgspec
from msgspec.structs import replace

from unlost.ledger.values import Copy, RedriveCopy
from unlost.moving.control_line import ControlLine
from unlost.moving.line import ErrorLine, TaskLine, copy_of, line_of
from unlost.schedule.schedule import Schedule, Tick

T = TypeVar("T")

FORMAT = "unlost export"
VERSION = 1

LONGEST_LINE = 256 * 1024 * 1024
"""Bytes.  No task comes near: what has a longer line is something else."""

LONGEST_POSITION = 100

_NUL, _SHOWN = "\0", "\N{SYMBOL FOR NULL}"


class NotAnExport(ValueError):
    """What was read is not a whole export of this version.  The message says what is wrong."""


class Head(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """What stands above the tasks: when and in which home it began, and the sums by then.

    `redacted` has the pointers to what is masked in it: such an export is to be read, and is no
    ledger's to take.
    """

    format: str
    version: int
    exported_at: str
    home: str
    accepted: int
    settled: int
    states: dict[str, int]
    redacted: tuple[str, ...] = ()


class Numbered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task and its position in the ledger that it came from, in digits: it may be beyond what
    readers of JSON take for an integer."""

    position: str
    task: TaskLine


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is set for a type."""

    control: ControlLine


class Redriving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A redrive, as ledgers keep it."""

    redrive: RedriveCopy


class Scheduling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule, as ledgers keep it, and its newest ticks, the oldest first."""

    schedule: Schedule
    ticks: tuple[Tick, ...] = ()


class Tail(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What stands below all.  `controls` is the digest of the settings, `redrives` and `schedules`
    those of the redrives and the schedules, `effect_keys` that of the tasks' effect keys, where
    there are any."""

    tasks: int
    digest: str
    controls: str = ""
    redrives: str = ""
    schedules: str = ""
    effect_keys: str = ""


Line = Numbered | Setting | Redriving | Scheduling | Tail
"""What may stand below the head."""


@dataclass(slots=True)
class Sum:
    """How many tasks there are, and their digest; that of their effect keys is apart, since
    earlier exports have none, and each ledger gives such tasks its own."""

    tasks: int = 0
    total: int = 0
    keys: int = field(default=0, compare=False)

    def add(self, task: TaskLine) -> None:
        self.tasks += 1
        self.total = _plus(self.total, canonical(task))
        if task.effect_key is not None:
            self.keys = _plus(self.keys, f"{task.effect_key} {task.task_id}".encode())

    @property
    def digest(self) -> str:
        return f"{self.total:064x}"

    @property
    def effect_keys(self) -> str:
        return f"{self.keys:064x}" if self.keys else ""

    def agrees(self, tail: Tail) -> bool:
        return (self.tasks, self.digest) == (tail.tasks, tail.digest)

    def tail(self, beside: Beside | None = None) -> Tail:
        digests = (beside or Beside()).digests
        return Tail(self.tasks, self.digest, *digests, self.effect_keys)


def _plus(total: int, text: bytes) -> int:
    return (total + int.from_bytes(sha256(text).digest())) % 2**256


@dataclass(slots=True)
class Beside:
    """What an export has beside the tasks: settings of types, redrives, schedules."""

    controls: list[ControlLine] = field(default_factory=list)
    redrives: list[RedriveCopy] = field(default_factory=list)
    schedules: list[Scheduling] = field(default_factory=list)

    @property
    def digests(self) -> tuple[str, str, str]:
        return digest_of(self.controls), digest_of(self.redrives), digest_of(self.schedules)

    def add(self, part: Line) -> bool:
        """Take a line that is no task; False for one that is."""
        if isinstance(part, Setting):
            self.controls.append(part.control)
        elif isinstance(part, Redriving):
            self.redrives.append(part.redrive)
        elif isinstance(part, Scheduling):
            self.schedules.append(part)
        else:
            return False
        return True

    def __bool__(self) -> bool:
        return bool(self.controls or self.redrives or self.schedules)


def digest_of(parts: Sequence[ControlLine | RedriveCopy | Scheduling]) -> str:
    """Of all that are of one kind, in order; empty for nothing."""
    return sha256(msgspec.json.encode(parts)).hexdigest() if parts else ""


def canonical(task: TaskLine) -> bytes:
    """The bytes that are hashed.  PostgreSQL keeps no NUL in a text: an error that holds one
    counts as if it held the symbol for it."""
    task = replace(task, effect_key=None)
    written = msgspec.json.encode(task)
    if rb"\u0000" not in written:
        return written
    shown = replace(
        task,
        error=_shown_error(task.error),
        attempts=tuple(replace(one, error=_shown_error(one.error)) for one in task.attempts),
        history=tuple(
            replace(act, by=_shown(act.by), reason=_shown(act.reason)) for act in task.history
        ),
    )
    return msgspec.json.encode(shown)


def _shown_error(error: ErrorLine | None) -> ErrorLine | None:
    if error is None:
        return None
    return replace(
        error,
        type=_shown(error.type) or "",
        message=_shown(error.message) or "",
        traceback=_shown(error.traceback),
    )


def _shown(text: str | None) -> str | None:
    return None if text is None else text.replace(_NUL, _SHOWN)


def numbered(position: int, copy: Copy) -> Numbered:
    """A task as it stands in an export."""
    return Numbered(str(position), line_of(copy))


def line(part: Head | Line) -> bytes:
    """A part of an export as its line."""
    return msgspec.json.encode(part) + b"\n"


def read_head(text: bytes) -> Head:
    """The first line.  Raises NotAnExport."""
    try:
        head = msgspec.json.decode(text, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAnExport("it is not an export of unlost") from None
    if head.format != FORMAT:
        raise NotAnExport("it is not an export of unlost")
    if head.version != VERSION:
        raise NotAnExport(f"its format is version {head.version}, this unlost reads {VERSION}")
    return head


_KINDS: tuple[tuple[bytes, type[Line]], ...] = (
    (b'{"tasks"', Tail),
    (b'{"control"', Setting),
    (b'{"redrive"', Redriving),
    (b'{"schedule"', Scheduling),
)
"""How lines begin that are no tasks."""


def read_part(text: bytes, number: int) -> Line:
    """Line `number`, one below the first.  Raises NotAnExport."""
    kind: type[Line] = Numbered
    for start, other in _KINDS:
        kind = other if text.startswith(start) else kind
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnExport(f"line {number} is not a task: {error}") from None


def place(part: Numbered, number: int) -> int:
    """The position that line `number` names.  Raises NotAnExport."""
    digits = part.position
    if not (0 < len(digits) <= LONGEST_POSITION and digits.isascii() and digits.isdigit()):
        raise NotAnExport(f"line {number} has no position")
    return int(digits)


def lines(source: BinaryIO) -> Iterator[bytes]:
    """The lines of a file.  Raises NotAnExport for one that is endless, or has no end."""
    while text := source.readline(LONGEST_LINE):
        if not text.endswith(b"\n"):
            raise NotAnExport("it breaks off within a line")
        yield text


def tasks(source: Iterable[bytes], seen: Sum, beside: Beside) -> Iterator[tuple[Copy, int]]:
    """The tasks of an export with the length of their lines, added to `seen` before they come.

    What else it has is in `beside` in the end.  Raises NotAnExport: at once for an export with
    masks and for a line that is none, at the end where they are not those that the last line
    counts.
    """
    rest = enumerate(source, 1)
    if read_head(next(rest, (1, b""))[1]).redacted:
        raise NotAnExport("values in it are masked (--redact): export with --whole")
    last = 0
    for number, text in rest:
        part = read_part(text, number)
        if isinstance(part, Tail):
            _end(part, seen, beside)
            if next(rest, None) is not None:
                raise NotAnExport("something follows its last line")
            return
        if beside.add(part) or not isinstance(part, Numbered):
            continue
        at = place(part, number)
        if at <= last or beside:
            raise NotAnExport(f"line {number} is out of order")
        last = at
        yield _copy(part.task, number, seen), len(text)
    raise NotAnExport("it breaks off: the last line is missing")


def _copy(task: TaskLine, number: int, seen: Sum) -> Copy:
    try:
        copy = copy_of(task)
    except ValueError as error:
        raise NotAnExport(f"line {number} is not a task: {error}") from None
    seen.add(task)
    return copy


_ALTERED = (
    "it was altered: what it sets for types is not what its last line says",
    "it was altered: its redrives are not those that its last line says",
    "it was altered: its schedules are not those that its last line says",
    "it was altered: its tasks' effect keys are not those that its last line says",
)


def _end(tail: Tail, seen: Sum, beside: Beside) -> None:
    if not seen.agrees(tail):
        raise NotAnExport(
            f"it was altered: its last line counts {tail.tasks} tasks with digest"
            f" {tail.digest[:16]}…, there are {seen.tasks} with {seen.digest[:16]}…"
        )
    told = (tail.controls, tail.redrives, tail.schedules, tail.effect_keys)
    found_ones = (*beside.digests, seen.effect_keys)
    for digest, found, altered in zip(told, found_ones, _ALTERED, strict=True):
        if digest != found:
            raise NotAnExport(altered)
