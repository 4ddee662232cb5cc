"""The live view of `stats --watch`: looking, and drawing what was seen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unlost.cli.client.answers import Groups, StatsSeen
from unlost.cli.client.connection import NoService, Refused, Service, read
from unlost.cli.show.stats import View, lines
from unlost.cli.signals import ended_tidily

if TYPE_CHECKING:
    from rich.console import Group

OLDEST = re.compile(rb"^unlost_oldest_waiting_seconds(?:\{[^}]*\})? ([0-9.eE+-]+)", re.MULTILINE)

PATIENCE = 10
"""Seconds that an answer may take."""


def watch(service: Service, looks: Iterable[bytes | str]) -> None:
    """Draw each look: what `/stats` answered, or why it did not.

    Takes the terminal's other screen meanwhile; in the end what was drawn last stays on its own.
    """
    from rich.console import Console
    from rich.live import Live

    console, view = Console(highlight=False), View(service.shown)
    try:
        with (
            ended_tidily(),
            Live(console=console, screen=True, auto_refresh=False) as live,
        ):
            for look in looks:
                _observe(view, look, service)
                live.update(_drawn(view, console.width), refresh=True)
    finally:
        if view.stats is not None:
            console.print(_drawn(view, console.width))


def _observe(view: View, look: bytes | str, service: Service) -> None:
    if isinstance(look, str):
        view.trouble = look
        return
    stats = read(look, StatsSeen)
    changed = view.stats is None or view.stats.states.get("dead") != stats.states.get("dead")
    view.observe(stats)
    view.at = f"{datetime.now(UTC):%H:%M:%SZ}"
    try:
        if changed:
            answer = service.get("/dead-letters/groups", patience=PATIENCE)
            view.groups = read(answer, Groups).groups
        found = OLDEST.search(service.get("/metrics", patience=PATIENCE))
        view.oldest = float(found[1]) if found else None
    except NoService as error:
        view.trouble = error.what
    except Refused:  # on AWS there is no /metrics; and a key may not be for all
        view.oldest = None


def _drawn(view: View, width: int) -> Group:
    from rich.console import Group

    return Group(*lines(view, width))
