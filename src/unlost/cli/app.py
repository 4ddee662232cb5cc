"""The tree of commands.

Each is named by where it is, and imported only when it is run or its own help is asked for.
"""

from __future__ import annotations

import re

from cyclopts import App, Group

_COMMANDS = {
    "Run a service": {
        "commands.serve:serve": "API, workers, monitor and console in one process tree.",
        "commands.serve:api": "The API and the console alone, for several machines on one ledger.",
        "commands.serve:worker": (
            "Workers alone, with the monitor and the sweep, for several machines on one ledger."
        ),
        "commands.outbox.outbox:outbox": (
            "Make tasks of what applications put into their own databases, in their transactions."
        ),
        "ledgers.key:key": "Give out API keys of a service, list them, renew them, take them back.",
    },
    "Talk to a service": {
        "commands.submit:submit": "Submit every line of a file: a task, or a bare payload.",
        "commands.tasks:task": (
            "Show one task: its state, every attempt and the waits between them, its last error."
        ),
        "commands.tasks:why": "Tell why a task is not running now, and what would change that.",
        "commands.tasks:tasks": "List tasks, newest first. Times are like 2030-01-31T12:00:00Z.",
        "commands.dead.dead:dead": "Look at dead letters, redrive, discard and export them.",
        "commands.redrives:redrives": (
            "List redrives of dead letters, newest first, or show how one stands."
        ),
        "commands.stats:stats": (
            "Show how many tasks are in which state, and how fast they come and go."
        ),
        "commands.workers:workers": (
            "List the worker processes: the types that each takes, how much it runs, and its"
            " oldest task."
        ),
    },
    "Submit at set times": {
        "commands.schedule.schedule:schedule": (
            "Set schedules, look at them, pause and run them; set all that a file says."
        ),
    },
    "Pause and limit types": {
        "commands.types:types": (
            "List the types for which something is set: a pause, limits, rates, a breaker, pull."
        ),
        "commands.types:pause": (
            "Let no worker start a task of this type until it is resumed; what runs goes on."
        ),
        "commands.types:resume": "Let workers start tasks of this type again.",
        "commands.types:limit": (
            "Limit how many tasks of this type run at once or start a second, in all and per key; "
            "and who takes them."
        ),
        "commands.types:breaker": (
            "Set this type's circuit breaker, closed: while most attempts fail, its tasks wait."
        ),
    },
    "Look after a ledger": {
        "ledgers.export:export": (
            "Write a whole ledger as NDJSON: tasks, attempts, dead letters, and all that is kept"
            " of them."
        ),
        "ledgers.import_:import_": (
            "Keep in an empty ledger what `unlost export` wrote, as it was, but schedules are"
            " paused."
        ),
        "ledgers.purge:purge": (
            "Remove payload, result and attempts of old succeeded and cancelled tasks, once."
        ),
    },
    "Check and try": {
        "commands.doctor.doctor:doctor": (
            "Check what a service would find here, and tell what `unlost serve` would do."
        ),
        "commands.audit:audit": (
            "Check every promise against the records; exit status 1 and the list if one is broken."
        ),
        "ledgers.effects:effects": (
            "List what handlers declared with `task.effect`, or what happened more than once,"
            " after what."
        ),
        "commands.demo.demo:demo": (
            "Submit, fail, retry, dead-letter and audit, on a temporary ledger, in under a minute."
        ),
        "commands.prove.prove:prove": (
            "Run your handler while all that can fail does: is it idempotent?"
        ),
        "commands.completion:completion": (
            "Print the script by which a shell completes commands, flags and values."
        ),
    },
}
"""By heading: where each command is, and the line that lists it, which is its help's first."""

_GROUPS = {title: Group(title, sort_key=place) for place, title in enumerate(_COMMANDS)}


def _tree(*, listed: bool) -> App:
    """The commands; those that are only `listed` have no more help than their line."""
    tree = App(
        name="unlost",
        help="A task service that loses nothing: submit, process, retry, dead-letter, audit.",
        help_epilogue="unlost COMMAND --help says more.",
        help_format="rich" if listed else "markdown",  # which takes a library more
        version=_version,
        suppress_keyboard_interrupt=False,
    )
    for title, commands in _COMMANDS.items():
        for place, (path, line) in enumerate(commands.items()):
            has_its_own = path.endswith((":dead", ":key", ":outbox", ":schedule"))
            tree.command(
                f"unlost.cli.{path}",
                help=re.sub(r"`(.+?)`", r"[markdown.code]\1[/]", line) if listed else None,
                group=_GROUPS[title],
                sort_key=place,
                **({} if has_its_own else {"help_epilogue": ""}),
            )
    return tree


def _version() -> str:
    from importlib.metadata import version

    return f"unlost {version('unlost')}"


app = _tree(listed=False)


def listing() -> App:
    """The commands for the list of them, which imports none."""
    return _tree(listed=True)
