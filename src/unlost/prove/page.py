"""The report as one HTML file: no script, no other host, light or dark as the reader likes it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from unlost.prove.fates import MEANING, Fate
from unlost.prove.report import CAUSES, Cause, Repeated, Report, summary

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #5b6472; --line: #d9dde3; --back: #fff;
  --good: #17703c; --bad: #b3261e; --mid: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ec; --soft: #9aa3b0; --line: #343a44; --back: #16181d;
    --good: #5fca8b; --bad: #ff8a80; --mid: #f0b95b; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
  max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
p.soft, td.soft { color: var(--soft); }
.verdict { font-weight: 600; padding: .6rem 1rem; border-left: .4rem solid; }
.passed { color: var(--good); } .broken, .duplicates { color: var(--bad); }
.unfinished, .probeFailed { color: var(--mid); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .2rem 1.2rem .2rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Report) -> str:
    """The whole file.  Every text in it that is not our own is escaped."""
    again = f"Again: <code>{shown(report.command)}</code>"
    run = f"{report.sums.submitted} tasks, seed {report.seed}, {report.seconds:g} s. {again}"
    parts = [
        f"<h1>unlost prove: {shown(report.handler)}</h1>",
        f'<p class="soft">{run}</p>',
        f'<p class="verdict {report.verdict.value}">{shown(summary(report))}</p>',
        *_broken(report),
        *_sums(report),
        *_effects(report),
        *_attempts(report),
        *_deaths(report),
        "<h2>What this cannot see</h2>",
        "<ul>" + "".join(f"<li>{shown(text)}</li>" for text in report.blind_spots) + "</ul>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>unlost prove: {shown(report.handler)}</title>\n<style>{STYLE}</style>\n"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def shown(text: object) -> str:
    """A text as HTML; what cannot be seen in it is written as its escape."""
    seen = "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode()
        for mark in str(text).encode("utf-8", "backslashreplace").decode()
    )
    return html.escape(seen)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers stand to the right."""
    lines = [f"<tr>{''.join(f'<th>{shown(head)}</th>' for head in heads)}</tr>"]
    for row in rows:
        cells = (
            f'<td class="number">{cell}</td>'
            if isinstance(cell, int)
            else f"<td>{shown(cell)}</td>"
            for cell in row
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def _broken(report: Report) -> Iterable[str]:
    if report.broken:
        rows = [(one.promise, one.task_id or "", one.detail) for one in report.broken]
        yield "<h2>Broken promises</h2>"
        yield _table(("promise", "task", "what is wrong"), rows)


def _sums(report: Report) -> Iterable[str]:
    sums = report.sums
    yield "<h2>Sums</h2>"
    rows = [
        ("submitted", sums.submitted),
        ("succeeded", sums.succeeded),
        ("dead", sums.dead),
        ("cancelled", sums.cancelled),
        ("unfinished", sums.unfinished),
        ("lost", sums.lost),
    ]
    yield _table(("tasks", "how many"), rows)


def _effects(report: Report) -> Iterable[str]:
    effects = report.effects
    probed = "" if effects.probed is None else f", {effects.probed} tasks probed"
    yield "<h2>Effects</h2>"
    yield f"<p>{effects.declared} declared with <code>task.effect</code>{probed}.</p>"
    if effects.repeated:
        yield "<p>These happened more than once:</p>"
        heads = ("task", "effect", "times", "seen by", "attempt", "it ended", "injected into it")
        yield _table(heads, (row for one in effects.repeated for row in _rows(one)))
    if effects.steps:
        runs = "1 run" if effects.steps == 1 else f"{effects.steps} runs"
        yield f"<p>{runs} of a step's function with <code>task.once</code>.</p>"
    if effects.steps_repeated:
        yield (
            "<p>These ran again, since their record was lost with the attempt; each time with the"
            " same <code>task.idempotency_key</code>:</p>"
        )
        heads = ("task", "step", "times", "seen by", "attempt", "it ended", "injected into it")
        yield _table(heads, (row for one in effects.steps_repeated for row in _rows(one)))
    if effects.missing:
        yield "<p>These tasks succeeded without an effect, unlike others of their type:</p>"
        yield _table(
            ("task", "type", "seen by"),
            [(one.task_id, one.type, one.seen_by) for one in effects.missing],
        )
    if effects.probe_faults:
        yield "<p>The probe could not tell of these:</p>"
        faults = [(one.task_id, one.detail) for one in effects.probe_faults]
        yield _table(("task", "why"), faults)


def _rows(one: Repeated) -> Iterable[Sequence[object]]:
    head: tuple[object, ...] = (one.task_id, one.effect, one.times, one.seen_by)
    for trial in one.attempts:
        yield (*head, trial.number, CAUSES[trial.cause], MEANING[Fate(trial.injected)])
        head = ("", "", "", "")
    if not one.attempts:
        yield (*head, "", "", "")


def _attempts(report: Report) -> Iterable[str]:
    yield "<h2>Attempts</h2>"
    rows = [(CAUSES[Cause(name)], count) for name, count in report.attempts.items() if count]
    yield _table(("how they ended", "attempts"), rows)
    yield "<h2>What was injected</h2>"
    told = report.injections
    struck = [(MEANING[Fate(name)], count) for name, count in told.attempts.items() if count]
    rest = [
        ("starts again after everything was killed", told.restarts),
        ("settlements that came too late and were refused", told.late_settlements_refused),
        ("answers to submits lost, and submitted again", told.submit_answers_lost),
    ]
    yield _table(("what", "times"), [*struck, *(row for row in rest if row[1])])


def _deaths(report: Report) -> Iterable[str]:
    if report.deaths:
        yield "<h2>Dead letters</h2>"
        rows = [(one.error_type, one.count, one.sample, one.task_ids[0]) for one in report.deaths]
        yield _table(("error", "tasks", "a message", "such as"), rows)
