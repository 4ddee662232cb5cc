"""A redrive that begins with a canary: begun, watched until it takes no more, what it showed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from unlost.cli.client.answers import Page, TaskSeen, seen
from unlost.cli.client.connection import NoService, Refused, Service, read, task_path
from unlost.cli.client.redrives import RedriveSeen, Watch, begin, goes_on
from unlost.cli.commands.dead.redrive import Wish
from unlost.cli.failures import Failed
from unlost.cli.show.redrives import watch
from unlost.cli.text import counted, one_line

NEWEST = 20
"""Newest dead letters among which one is sought that a redrive redrove."""


def begin_carefully(service: Service, ids: tuple[str, ...], wish: Wish) -> Watch:
    """Begin a redrive with a canary.  Raises NoService, Refused."""
    how: dict[str, object] = {
        "canary": wish.canary,
        "tolerate": wish.tolerate,
        "patience": wish.patience,
    }
    if wish.forget:
        how["forget"] = list(wish.forget)
    unique = tuple(dict.fromkeys(ids))
    return Watch(service, begin(service, wish.body(unique, wish.limit) | how))


def follow(redrive: Watch) -> None:
    """Show its progress until it takes no more; where the watching ends before, say that it goes
    on.  Raises Failed, KeyboardInterrupt."""
    with _goes_on(redrive):
        watch(redrive)


@contextmanager
def _goes_on(redrive: Watch) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print(f"\n{goes_on(redrive.seen.id)}, --stop stops it", file=sys.stderr)
        raise
    except (NoService, Refused) as trouble:
        raise Failed(f"{trouble}; {goes_on(redrive.seen.id)}") from trouble


def check_outcome(redrive: Watch) -> None:
    """Raises Failed where a redrive stopped, or some died again."""
    outcome = redrive.seen
    if outcome.state != "stopped" and not outcome.died_again:
        return
    letter = fallen(redrive.service, outcome) if outcome.died_again else None
    if letter is not None:
        advice = f"`unlost dead show {one_line(letter.task_id)}` says why"
    else:
        advice = "`unlost stats` says whether anything serves them"
    if outcome.state == "stopped":
        left = outcome.left or 0
        stays = f"{counted(left, 'dead letter')} {'is' if left == 1 else 'are'} left"
        why = outcome.why or "it stopped"
        cause = why if "stopped" in why else f"{why}, so it stopped"
        raise Failed(f"{cause}; {stays}; {advice}")
    raise Failed(f"{outcome.died_again} of {outcome.redriven} died again; {advice}")


def fallen(service: Service, outcome: RedriveSeen) -> TaskSeen | None:
    """One that died again, among the newest; None if none of those is its."""
    newest = seen(read(service.get("/dead-letters", {"limit": NEWEST}), Page).tasks)
    for letter in newest:
        if letter.redrive_count and letter.updated_at >= outcome.started_at:
            whole = read(service.get(task_path("/tasks", letter.task_id)), TaskSeen)
            if any(act.redrive == outcome.id for act in whole.history):
                return whole
    return None
