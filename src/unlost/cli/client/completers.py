"""What the Tab key offers for a value that only a service knows."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from unlost.cli.client.answers import Groups, GroupSeen, Page, TaskSeen, seen
from unlost.cli.client.connection import Connection, Service, read
from unlost.cli.client.redrives import RedriveSeen, RedrivesSeen
from unlost.cli.failures import Failed, WrongUsage
from unlost.task import State

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds that a person who has pressed Tab waits."""


def states(_: CompletionContext) -> list[str]:
    """The states of a task."""
    return [state.value for state in State]


def fingerprints(context: CompletionContext) -> list[tuple[str, str]]:
    """The groups of dead letters, with what killed them."""

    def groups(service: Service) -> list[GroupSeen]:
        return read(service.get("/dead-letters/groups", patience=PATIENCE), Groups).groups

    return [
        (one.fingerprint, f"{one.count} {one.error_type}: {one.sample}")
        for one in _asked(context, groups)
    ]


def dead_letters(context: CompletionContext) -> list[tuple[str, str]]:
    """The ids of the newest dead letters, with their errors."""

    def letters(service: Service) -> list[TaskSeen]:
        answer = service.get("/dead-letters", {"limit": 100}, patience=PATIENCE)
        return seen(read(answer, Page).tasks)

    return [(one.task_id, str(one.error or "")) for one in _asked(context, letters)]


def redrives(context: CompletionContext) -> list[tuple[str, str]]:
    """The ids of the newest redrives, with how they stand."""

    def newest(service: Service) -> list[RedriveSeen]:
        answer = service.get("/redrives", {"limit": 100}, patience=PATIENCE)
        return [read(bytes(one), RedriveSeen) for one in read(answer, RedrivesSeen).redrives]

    return [
        (one.id, f"{one.state}, {one.succeeded} of {one.selected} succeeded")
        for one in _asked(context, newest)
    ]


def schedules(context: CompletionContext) -> list[tuple[str, str]]:
    """The ids of the first schedules, with when they are due."""

    def found(service: Service) -> list[_Scheduled]:
        answer = service.get("/schedules", {"limit": 100}, patience=PATIENCE)
        return read(answer, _Schedules).schedules

    return [(one.id, one.cron or f"every {one.every} s") for one in _asked(context, found)]


class _Scheduled(msgspec.Struct):
    id: str
    cron: str = ""
    every: int = 0


class _Schedules(msgspec.Struct):
    schedules: list[_Scheduled]


def _asked(context: CompletionContext, ask: Callable[[Service], list[T]]) -> list[T]:
    """What the service says that the half-typed command is for; nothing if it does not, or if a
    ledger is named, which nobody opens while a command is typed."""
    if _typed(context, "--ledger"):
        return []
    url = _typed(context, "--url") or os.environ.get("UNLOST_URL", "")
    key = _typed(context, "--api-key") or os.environ.get("UNLOST_API_KEY", "")
    try:
        with Service(Connection(url=url, api_key=key)) as service:
            return ask(service)
    except (Failed, WrongUsage):
        return []


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
