"""What an audit found."""

from __future__ import annotations

import msgspec

from unlost.cli.failures import Failed
from unlost.cli.show.output import facts
from unlost.cli.show.tables import Columns, table


class ViolationSeen(msgspec.Struct, rename="camel"):
    promise: str
    detail: str
    task_id: str | None = None


class ScheduleSeen(msgspec.Struct):
    id: str
    due: int
    made: int
    skipped: int


class AuditSeen(msgspec.Struct):
    """An audit as the service answers it."""

    ok: bool
    accepted: int
    outstanding: int
    lost: int
    states: dict[str, int]
    violations: list[ViolationSeen]
    schedules: list[ScheduleSeen] = []


def check(found: AuditSeen) -> None:
    """Raises Failed where a promise is broken."""
    if not found.ok:
        raise Failed("a promise is broken")


def print_audit(found: AuditSeen) -> None:
    """Print the sums, the violations and the verdict."""
    facts(
        [
            ("accepted", str(found.accepted)),
            *((state, str(count)) for state, count in found.states.items()),
            ("outstanding", str(found.outstanding)),
            ("lost", str(found.lost)),
        ]
    )
    if found.schedules:
        sums = [(one.id, str(one.due), str(one.made), str(one.skipped)) for one in found.schedules]
        table(Columns(("schedule", "due", "made", "skipped"), whole="schedule"), sums)
    if found.violations:
        rows = [(item.promise, item.task_id or "", item.detail) for item in found.violations]
        table(Columns(("promise", "task", "violation"), whole="task"), rows)
    if found.ok:
        print("every promise holds")
