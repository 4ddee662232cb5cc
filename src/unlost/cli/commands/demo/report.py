"""What the demo tells when every task has ended."""

from __future__ import annotations

import time
from collections import Counter
from math import sqrt
from pathlib import Path

from unlost.cli.client.answers import Groups, StatsSeen, TaskSeen, pages, seen
from unlost.cli.client.connection import Service, read, task_path
from unlost.cli.show.audit import AuditSeen, check, print_audit
from unlost.cli.show.output import facts, title
from unlost.cli.show.tables import Columns, table
from unlost.cli.show.task import print_task
from unlost.cli.text import counted

OUTCOMES = ("succeeded", "failed", "timed_out", "lost", "released", "cancelled")


def print_sums(stats: StatsSeen) -> None:
    """What was accepted, and where all of it is."""
    title("Sums")
    ended = " + ".join(f"{stats.states[end]} {end}" for end in ("succeeded", "dead", "cancelled"))
    print(f"{stats.accepted} accepted = {ended} + {stats.outstanding} outstanding")
    print(f"{stats.lost} lost")


def print_attempts(service: Service, failure_rate: float) -> None:
    """Attempts by outcome, and the share that failed beside the share asked for."""
    outcomes: Counter[str] = Counter()
    for page in pages(service, "/tasks", {"include": "attempts"}, None):
        for task in seen(page.tasks):
            outcomes.update(attempt.outcome or "running" for attempt in task.attempts)
    total = outcomes.total()
    title("Attempts")
    rows = [(name, str(outcomes[name])) for name in OUTCOMES if outcomes[name]]
    table(Columns(("outcome", "attempts")), [*rows, ("all", str(total))])
    share = outcomes["failed"] / max(total, 1)
    print(f"{share:.1%} of attempts failed; asked for were {failure_rate:.1%}")


def print_deaths(service: Service, stats: StatsSeen, share: float) -> None:
    """Dead letters: how many beside how many were to be expected, by group, and one of them.

    `share` is the probability that a task dies.
    """
    expected, dead = stats.accepted * share, stats.states["dead"]
    spread = sqrt(expected * (1 - share))
    title("Dead letters")
    died = f"{counted(dead, 'task')} died"
    print(f"{died}; to be expected were {expected:.0f} ± {spread:.0f} ({share:.1%})")
    if not dead:
        return
    groups = read(service.get("/dead-letters/groups"), Groups).groups
    rows = [(g.fingerprint, str(g.count), g.error_type, g.sample) for g in groups]
    table(Columns(("fingerprint", "count", "error", "sample"), whole="fingerprint"), rows)
    title("One of them")
    for page in pages(service, "/dead-letters", {}, 1):
        for letter in seen(page.tasks):
            answer = service.get(task_path("/tasks", letter.task_id))
            print_task(read(answer, TaskSeen), tracebacks=False)


def print_monitor(log: Path, dead: int, patience: float = 5.0) -> None:
    """How many dead letters the monitor has logged; it gets a moment to log them all."""
    deadline = time.monotonic() + patience
    while (logged := _reports(log)) < dead and time.monotonic() < deadline:
        time.sleep(0.05)
    title("Monitor")
    facts([("logged", f"{logged} of {counted(dead, 'dead letter')}")])


def _reports(log: Path) -> int:
    with log.open("rb") as lines:
        return sum(b'"task.dead_lettered"' in line for line in lines)


def print_verdict(service: Service) -> None:
    """The audit.  Raises Failed where a promise is broken."""
    found = read(service.get("/audit", patience=600), AuditSeen)
    title("Audit")
    print_audit(found)
    check(found)
