"""An outbox, for people and for programs."""

from __future__ import annotations

import msgspec

from unlost.cli.show.output import facts, title
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import cell, counted
from unlost.outbox.store import Status

REJECTED = Columns(("id", "status", "reason", "task", "rejected"), whole="id", spare=("rejected",))


def status_as_json(status: Status) -> bytes:
    """The status with the names of HTTP's answers."""
    return msgspec.json.encode(
        {
            "rows": status.states,
            "oldestSeconds": round(status.oldest_seconds, 3),
            "answers": status.answers,
            "rejected": status.newest_rejected,
        }
    )


def print_status(status: Status) -> None:
    """Print it: sums, then what was answered, then the newest rejected rows."""
    waits = status.waiting + status.delayed
    oldest = f"{status.oldest_seconds:.1f} s" if waits else ""
    facts([*((name, str(number)) for name, number in status.states.items()), ("oldest", oldest)])
    if status.answers:
        title("tried in vain")
        for one in status.answers:
            print(f"{counted(one.rows, 'row')}: {cell(one.answer.removeprefix('0 '))}")
    if status.newest_rejected:
        title("rejected")
        table(
            REJECTED,
            [
                (one.id, str(one.status), one.reason, one.task_id, one.rejected_at)
                for one in status.newest_rejected
            ],
        )
