"""What the Tab key offers for a value that only a service knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

    from unlost.cli.client.connection import Service

PATIENCE = 2.0
"""Seconds that a person who has pressed Tab waits."""


def states(_: CompletionContext) -> list[str]:
    """The states of a task."""
    from unlost.task import State

    return [state.value for state in State]


def fingerprints(context: CompletionContext) -> list[tuple[str, str]]:
    """The groups of dead letters, with what killed them."""
    from unlost.cli.client.answers import Groups
    from unlost.cli.client.connection import read
    from unlost.cli.failures import Failed, WrongUsage

    try:
        with _service(context) as service:
            answer = service.get("/dead-letters/groups", patience=PATIENCE)
        groups = read(answer, Groups).groups
    except (Failed, WrongUsage):
        return []
    return [(one.fingerprint, f"{one.count} {one.error_type}: {one.sample}") for one in groups]


def dead_letters(context: CompletionContext) -> list[tuple[str, str]]:
    """The ids of the newest dead letters, with their errors."""
    from unlost.cli.client.answers import Page, seen
    from unlost.cli.client.connection import read
    from unlost.cli.failures import Failed, WrongUsage

    try:
        with _service(context) as service:
            answer = service.get("/dead-letters", {"limit": 100}, patience=PATIENCE)
        letters = seen(read(answer, Page).tasks)
    except (Failed, WrongUsage):
        return []
    return [(one.task_id, str(one.error or "")) for one in letters]


def _service(context: CompletionContext) -> Service:
    """The service that the half-typed command is for."""
    import os

    from unlost.cli.client.connection import Connection, Service

    url = _typed(context, "--url") or os.environ.get("UNLOST_URL", "")
    key = _typed(context, "--api-key") or os.environ.get("UNLOST_API_KEY", "")
    return Service(Connection(url=url, api_key=key))


def _typed(context: CompletionContext, name: str) -> str:
    """What the line says of a flag by now."""
    return next(
        (
            argument.tokens[-1].value
            for argument in context.arguments
            if name in argument.names and argument.tokens
        ),
        "",
    )
