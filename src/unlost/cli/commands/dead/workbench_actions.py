"""What the workbench does to a group: redrive it as a canary, discard it, export it."""

from __future__ import annotations

from pathlib import Path

from unlost.cli.client.answers import GroupSeen, pages, seen
from unlost.cli.client.connection import Service
from unlost.cli.commands.dead.calls import discarded, export_lines
from unlost.cli.commands.dead.following import begin_carefully, fallen, follow
from unlost.cli.commands.dead.preview import afterwards
from unlost.cli.commands.dead.redrive import Wish, check
from unlost.cli.failures import WrongUsage
from unlost.cli.options import words
from unlost.cli.prompts import answer, is_agreed
from unlost.cli.show.redrives import print_sums
from unlost.cli.text import cell, counted


def redrive_group(service: Service, group: GroupSeen, by: str | None) -> bool:
    """Redrive a group as a canary; whether it began.  Ctrl-C ends the watching; it goes on."""
    rate = _rate(answer("how many a second? (Enter: as many as succeed)"))
    wish = Wish(group=group.fingerprint, rate=rate, canary=1, by=by, reason=_reason())
    check((), wish)
    rest = f", and the other {group.count - 1} only if it succeeds" if group.count > 1 else ""
    if not is_agreed(f"redrive the oldest first{rest}?"):
        print("nothing was done")
        return False
    redrive = begin_carefully(service, (), wish)
    try:
        follow(redrive)
    except KeyboardInterrupt:
        print()
    print_sums(redrive.seen)
    died = fallen(service, redrive.seen) if redrive.seen.died_again else None
    print(afterwards(redrive.seen, group.error_type, died.error if died else None))
    return True


def _rate(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise WrongUsage(f"{text} is not a number") from None


def _reason() -> str | None:
    reason = answer("why, for the history? (Enter: nothing)") or None
    words(None, reason)
    return reason


def discard_all(service: Service, group: GroupSeen, task_id: str, by: str | None) -> bool:
    """Discard a group, or the one that is named, with a reason; whether it was done."""
    wish = Wish(group=group.fingerprint, by=by, reason=_reason())
    ids = [task_id] if task_id else _ids(service, group.fingerprint)
    which = cell(task_id) if task_id else f"all {counted(len(ids), 'dead letter')} of this group"
    if not is_agreed(f"discard {which} for good?"):
        print("nothing was done")
        return False
    said = words(wish.by, wish.reason)
    print(f"{sum(discarded(service, one, said) is None for one in ids)} discarded")
    return True


def _ids(service: Service, fingerprint: str) -> list[str]:
    found = pages(service, "/dead-letters", {"error": fingerprint}, None)
    return [letter.task_id for page in found for letter in seen(page.tasks)]


def export_to(service: Service, group: GroupSeen, file: str) -> None:
    """Write a group whole to a new file, one JSON object a line.  Raises OSError."""
    name = file or answer(f"to which file? (Enter: {group.fingerprint}.ndjson)")
    path = Path(name or f"{group.fingerprint}.ndjson")
    count = 0
    with path.open("xb") as out:
        for page in export_lines(service, None, group.fingerprint):
            out.writelines(page)
            count += len(page)
    print(f"{counted(count, 'dead letter')} exported to {cell(str(path))}")
