"""What an outbox says of itself: whether it is there, and what has not been relayed."""

from __future__ import annotations

from collections.abc import Iterator

from unlost.cli.commands.doctor.finding import Finding, fail, note, ok
from unlost.cli.text import counted
from unlost.outbox.opening import open_outbox
from unlost.outbox.store import NoOutbox, OutboxUnavailable, Status
from unlost.settings import WrongSetting

OLD = 60.0
"""Seconds that a row may wait before somebody should know."""


def outbox(url: str) -> Finding:
    """What is in the outbox at `url`."""
    try:
        opened = open_outbox(url)
    except WrongSetting as wrong:
        return fail("outbox", str(wrong))
    try:
        found = opened.status()
    except (NoOutbox, OutboxUnavailable) as fault:
        return fail("outbox", str(fault))
    finally:
        opened.close()
    told = "; ".join(_wrong(found))
    return (
        note("outbox", told)
        if told
        else ok(
            "outbox", f"{counted(found.waiting, 'row')} {'waits' if found.waiting == 1 else 'wait'}"
        )
    )


def _wrong(found: Status) -> Iterator[str]:
    if found.rejected:
        were = "was" if found.rejected == 1 else "were"
        rows = counted(found.rejected, "row")
        yield f"{rows} {were} rejected: `unlost outbox status` says why"
    if found.oldest_seconds > OLD:
        yield f"the oldest row has waited for {found.oldest_seconds:.0f} s: does a relay run?"
