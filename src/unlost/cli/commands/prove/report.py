"""How a proof is shown: as it goes on, and its report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unlost.cli.show.output import facts, title
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import cell, counted
from unlost.prove.course import Progress
from unlost.prove.fates import MEANING, Fate
from unlost.prove.report import CAUSES, Cause, Effects, Injections, Repeated, Report, summary

PLAIN_EVERY = 5.0
"""Seconds between two plain lines."""

LISTED = 20
"""Findings of one kind that are shown; --json has all."""


@contextmanager
def progress() -> Iterator[Callable[[Progress], None]]:
    """Show on stderr how far it is: one line that changes on a terminal, a line at times else."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True, highlight=False).status("starting") as status:
            yield lambda now: status.update(_words(now))
    else:
        yield _plain_lines()


def _plain_lines() -> Callable[[Progress], None]:
    last = 0.0

    def show(now: Progress) -> None:
        nonlocal last
        if now.seconds - last >= PLAIN_EVERY:
            last = now.seconds
            print(_words(now), file=sys.stderr)

    return show


def _words(now: Progress) -> str:
    counts = " ".join(f"{state}={count}" for state, count in now.states.items() if count)
    phase = "no more injections" if now.calm else f"start {now.generation}"
    return f"{now.seconds:5.1f} s  {phase}  {counts}"


def print_report(report: Report) -> None:
    """Print it for a person."""
    facts(
        [
            ("handler", report.handler),
            ("tasks", str(report.sums.submitted)),
            ("seconds", f"{report.seconds:g}"),
            ("again", report.command),
        ]
    )
    _print_sums(report)
    _print_injections(report.injections)
    _print_attempts(report)
    _print_deaths(report)
    _print_effects(report.effects)
    _print_broken(report)
    title("What this cannot see")
    for text in report.blind_spots:
        print(f"- {text}")
    title("Verdict")
    print(summary(report))


def _print_sums(report: Report) -> None:
    sums = report.sums
    title("Sums")
    print(
        f"{sums.submitted} submitted = {sums.succeeded} succeeded + {sums.dead} dead"
        f" + {sums.cancelled} cancelled + {sums.unfinished} unfinished"
    )
    print(f"{sums.lost} lost")


def _print_injections(told: Injections) -> None:
    title("Injected")
    rows = [(MEANING[Fate(name)], str(count)) for name, count in told.attempts.items() if count]
    rows += [
        (what, str(count))
        for what, count in (
            ("answers to submits lost, and submitted again", told.submit_answers_lost),
            ("settlements that came too late and were refused", told.late_settlements_refused),
        )
        if count
    ]
    table(Columns(("what", "times")), rows or [("nothing", "0")])


def _print_attempts(report: Report) -> None:
    title("Attempts")
    rows = [(CAUSES[Cause(name)], str(count)) for name, count in report.attempts.items() if count]
    total = str(sum(report.attempts.values()))
    table(Columns(("how they ended", "attempts")), [*rows, ("all", total)])


def _print_deaths(report: Report) -> None:
    if not report.deaths:
        return
    title("Dead letters")
    rows = [(one.error_type, str(one.count), one.sample, one.task_ids[0]) for one in report.deaths]
    table(Columns(("error", "tasks", "a message", "such as")), rows)


def _print_effects(effects: Effects) -> None:
    title("Effects")
    print(f"{counted(effects.declared, 'effect')} declared with task.effect")
    if effects.probed is not None:
        print(f"{counted(effects.probed, 'task')} probed")
    if effects.repeated:
        print("\nThese happened more than once:")
        _print_repeated(effects.repeated, "effect")
    if effects.steps:
        print(f"{counted(effects.steps, 'run')} of a step's function with task.once")
    if effects.steps_repeated:
        print(
            "\nThese ran again, since their record was lost with the attempt; each time with the"
            " same task.idempotency_key:"
        )
        _print_repeated(effects.steps_repeated, "step")
    if effects.missing:
        print("\nSucceeded without any effect, unlike others of their type (worth a look):")
        missing = [(one.task_id, one.type, one.seen_by) for one in effects.missing[:LISTED]]
        table(Columns(("task", "type", "seen by"), whole="task"), missing)
        _print_rest(len(effects.missing))
    if effects.probe_faults:
        print("\nThe probe could not tell:")
        faults = [(one.task_id, one.detail) for one in effects.probe_faults[:LISTED]]
        table(Columns(("task", "why"), whole="task"), faults)
        _print_rest(len(effects.probe_faults))


def _print_repeated(repeated: list[Repeated], what: str) -> None:
    heads = ("task", what, "times", "attempt", "injected", "it ended")
    rows = [row for one in repeated[:LISTED] for row in _rows(one)]
    table(Columns(heads, whole="task", spare=("it ended",)), rows)
    _print_rest(len(repeated))


def _rows(one: Repeated) -> Iterator[tuple[str, ...]]:
    """A line for each attempt; what it has in common stands in the first."""
    seen = f"{one.times} ({one.seen_by})"
    head = (one.task_id, one.effect, seen)
    for trial in one.attempts:
        injected = MEANING[Fate(trial.injected)]
        yield (*head, str(trial.number), injected, CAUSES[trial.cause])
        head = ("", "", "")
    if not one.attempts:
        yield (*head, "", "", "")


def _print_rest(total: int) -> None:
    if total > LISTED:
        print(f"and {total - LISTED} more; --json has all")


def _print_broken(report: Report) -> None:
    if not report.broken:
        return
    title("Broken promises")
    for one in report.broken[:LISTED]:
        where = f"task {cell(one.task_id)}: " if one.task_id else ""
        print(f"- {one.promise}: {where}{cell(one.detail)}")
    _print_rest(len(report.broken))
