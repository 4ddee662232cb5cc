"""What the workbench does to a group: redrive it as a canary, discard it, export it."""

from __future__ import annotations

from pathlib import Path

from unlost.cli.client.answers import ErrorSeen, GroupSeen, TaskSeen
from unlost.cli.client.connection import Service, read, task_path
from unlost.cli.commands.dead.calls import discarded, export_lines
from unlost.cli.commands.dead.canary_run import Trial
from unlost.cli.commands.dead.canary_service import (
    after_the_first,
    letters_of,
    print_trial,
    redrive_carefully,
)
from unlost.cli.commands.dead.preview import afterwards
from unlost.cli.commands.dead.redrive import Wish, check
from unlost.cli.failures import WrongUsage
from unlost.cli.options import words
from unlost.cli.prompts import answer, is_agreed
from unlost.cli.text import cell, counted


def redrive_group(service: Service, group: GroupSeen, first: str, by: str | None) -> bool:
    """Redrive a group as a canary, beginning with the one that was shown; whether it began.

    Ctrl-C ends the watching; what is under way goes on.
    """
    rate = _rate(answer("how many a second? (Enter: as many as succeed)"))
    wish = Wish(group=group.fingerprint, rate=rate, canary=True, by=by, reason=_reason())
    check((), wish)
    letters = letters_of(service, (), wish)
    letters.sort(key=lambda letter: letter.task_id != first)
    rest = after_the_first(letters)
    if not letters or not is_agreed(f"redrive {cell(letters[0].task_id)} first{rest}?"):
        print("nothing was done")
        return False
    trial = Trial(letters)
    try:
        redrive_carefully(service, trial, wish)
    except KeyboardInterrupt:
        print()
    print_trial(trial)
    print(afterwards(trial, group.error_type, _error_of(service, trial)))
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


def _error_of(service: Service, trial: Trial) -> ErrorSeen | None:
    """What the first one that died again died of."""
    if not trial.fallen:
        return None
    return read(service.get(task_path("/tasks", trial.fallen[0])), TaskSeen).error


def discard_all(service: Service, group: GroupSeen, task_id: str, by: str | None) -> bool:
    """Discard a group, or the one that is named, with a reason; whether it was done."""
    wish = Wish(group=group.fingerprint, by=by, reason=_reason())
    ids = [task_id] if task_id else [one.task_id for one in letters_of(service, (), wish)]
    which = cell(task_id) if task_id else f"all {counted(len(ids), 'dead letter')} of this group"
    if not is_agreed(f"discard {which} for good?"):
        print("nothing was done")
        return False
    said = words(wish.by, wish.reason)
    print(f"{sum(discarded(service, one, said) is None for one in ids)} discarded")
    return True


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
