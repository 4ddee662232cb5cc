"""A canary on a service: which dead letters, and what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from unlost.cli.client.answers import TaskSeen, pages, seen
from unlost.cli.client.connection import NoService, Refused, Service, read, task_path
from unlost.cli.client.delivery import PASSING
from unlost.cli.commands.dead.canary import Terms
from unlost.cli.commands.dead.canary_run import Fate, Letter, Trial, run
from unlost.cli.commands.dead.redrive import Wish, redrive_some
from unlost.cli.failures import Failed
from unlost.cli.show.output import facts
from unlost.cli.show.progress import Sums, shown
from unlost.cli.text import counted, one_line

T = TypeVar("T")

AWAY = 60.0
"""Seconds that the service may be away or busy: calls are repeated, which does no harm."""

AGAIN = 0.5
"""Seconds from one such call to the next."""


def letters_of(service: Service, ids: Sequence[str], wish: Wish) -> list[Letter]:
    """The dead letters that are chosen, oldest death first."""
    if ids and not (wish.group or wish.type_):
        found = [task for one in dict.fromkeys(ids) if (task := _task(service, one))]
        chosen = [task for task in found if task.state == "dead"]
    else:
        query: dict[str, str | int | None] = {"error": wish.group, "type": wish.type_}
        listed = [
            task
            for page in pages(service, "/dead-letters", query, None)
            for task in seen(page.tasks)
        ]
        named = frozenset(ids)
        chosen = [task for task in reversed(listed) if not ids or task.task_id in named]
    return [Letter(task.task_id, task.redrive_count) for task in chosen[: wish.limit]]


def after_the_first(letters: Sequence[Letter]) -> str:
    """What becomes of the rest, as the end of a question."""
    rest = len(letters) - 1
    return f", and the other {rest} only if it succeeds" if rest > 0 else ""


def redrive_carefully(service: Service, trial: Trial, wish: Wish) -> None:
    """Redrive a trial's letters as a canary, with its progress on stderr.

    Whatever ends it, the trial says how far it came.
    """

    def sums() -> Sums:
        return Sums(trial.ended, trial.succeeded, trial.died)

    terms = Terms(wish.rate, wish.tolerate, wish.patience)
    with shown(len(trial.letters), sums, "succeeded", "died again") as refresh:
        run(trial, _Here(service, wish), terms, refresh)


def outcome_of(trial: Trial) -> dict[str, object]:
    """How a canary ended, as JSON has it.  `stopped` says why it stopped by itself."""
    return {
        "redriven": trial.redriven,
        "succeeded": trial.succeeded,
        "diedAgain": trial.died,
        "gone": trial.gone,
        "underWay": len(trial.open),
        "left": trial.left,
        "stopped": trial.why,
    }


def print_trial(trial: Trial) -> None:
    """Print the sums of a canary; of those that are rarely there, only what is not zero."""
    rare = (("gone", trial.gone), ("under way", len(trial.open)), ("left", trial.left))
    facts(
        [
            ("redriven", str(trial.redriven)),
            ("succeeded", str(trial.succeeded)),
            ("died again", str(trial.died)),
            *((name, str(count)) for name, count in rare if count),
        ]
    )


def check_trial(trial: Trial) -> None:
    """Raises Failed where a canary stopped, or some died again."""
    if trial.fallen:
        name = one_line(trial.fallen[0])
        advice = f"`unlost dead show {name}` says why"
    else:
        advice = "`unlost stats` says whether anything serves them"
    if trial.why is not None:
        left = f"{counted(trial.left, 'dead letter')} {'is' if trial.left == 1 else 'are'} left"
        raise Failed(f"{trial.why}, so it stopped; {left}; {advice}")
    if trial.died:
        raise Failed(f"{trial.died} of {trial.redriven} died again; {advice}")


@dataclass(frozen=True)
class _Here:
    """A service as the world of a canary."""

    service: Service
    wish: Wish

    def redrive(self, letters: Sequence[Letter]) -> None:
        ids = tuple(letter.task_id for letter in letters)
        wish = Wish(by=self.wish.by, reason=self.wish.reason)
        _patiently(lambda: sum(redrive_some(self.service, ids, wish, len(ids))))

    def fate(self, letter: Letter) -> Fate:
        task = _patiently(lambda: _task(self.service, letter.task_id))
        if task is None or task.state == "cancelled":
            return Fate.GONE
        if task.state == "succeeded":
            return Fate.SUCCEEDED
        if task.state != "dead":
            return Fate.OPEN
        return Fate.DIED if task.redrive_count > letter.redrives else Fate.GONE


def _task(service: Service, task_id: str) -> TaskSeen | None:
    """The task; None if there is none."""
    try:
        return read(service.get(task_path("/tasks", task_id)), TaskSeen)
    except Refused as refusal:
        if refusal.status == 404:
            return None
        raise


def _patiently(call: Callable[[], T]) -> T:
    """Call again while the service is away or busy.  Raises NoService, Refused."""
    until = time.monotonic() + AWAY
    while True:
        try:
            return call()
        except (NoService, Refused) as trouble:
            passing = isinstance(trouble, NoService) or trouble.status in PASSING
            if not passing or time.monotonic() >= until:
                raise
        time.sleep(AGAIN)
