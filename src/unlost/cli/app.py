"""The tree of commands.

The modules imported here are light: what a command needs beyond the parser, it imports when run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyclopts import App, Group

from unlost.cli.commands.audit import audit
from unlost.cli.commands.completion import completion
from unlost.cli.commands.dead.dead import dead
from unlost.cli.commands.demo.demo import demo
from unlost.cli.commands.doctor.doctor import doctor
from unlost.cli.commands.prove.prove import prove
from unlost.cli.commands.serve import api, serve, worker
from unlost.cli.commands.stats import stats
from unlost.cli.commands.submit import submit
from unlost.cli.commands.tasks import task, tasks
from unlost.cli.commands.types import breaker, limit, pause, resume, types
from unlost.cli.commands.workers import workers
from unlost.cli.ledgers.export import export
from unlost.cli.ledgers.import_ import import_
from unlost.cli.ledgers.key import key
from unlost.cli.ledgers.purge import purge


def _version() -> str:
    from importlib.metadata import version

    return f"unlost {version('unlost')}"


app = App(
    name="unlost",
    help="A task service that loses nothing: submit, process, retry, dead-letter, audit.",
    help_epilogue="unlost COMMAND --help says more.",
    help_format="markdown",
    version=_version,
    suppress_keyboard_interrupt=False,
)

_RUN, _USE, _STEER, _KEEP, _TRY = (
    Group(title, sort_key=place)
    for place, title in enumerate(
        (
            "Run a service",
            "Talk to a service",
            "Pause and limit types",
            "Look after a ledger",
            "Check and try",
        )
    )
)
_COMMANDS: tuple[tuple[Group, tuple[App | Callable[..., Any], ...]], ...] = (
    (_RUN, (serve, api, worker, key)),
    (_USE, (submit, task, tasks, dead, stats, workers)),
    (_STEER, (types, pause, resume, limit, breaker)),
    (_KEEP, (export, import_, purge)),
    (_TRY, (doctor, audit, demo, prove, completion)),
)


def _leaf(command: Callable[..., Any]) -> App:
    leaf = App(name=command.__name__.rstrip("_"), help_epilogue="")
    leaf.default(command)
    return leaf


def _register() -> None:
    for group, commands in _COMMANDS:
        for place, command in enumerate(commands):
            part = command if isinstance(command, App) else _leaf(command)
            part.group, part.sort_key = (group,), place
            app.command(part)


_register()
