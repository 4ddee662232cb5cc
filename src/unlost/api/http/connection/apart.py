"""Steps of one connection among those of many: where one fails, the others go on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from unlost.telemetry.logs import Log

LOG = Log("unlost.api")


class Apart(Protocol):
    """What can be ended without the others."""

    def cut(self) -> None:
        """Close at once, whatever has not been read."""


def apart(one: Apart, step: Callable[[], None]) -> None:
    """Make a step of a connection; one that fails is cut, and the log says why."""
    try:
        step()
    except Exception:
        LOG.exception("api.connection_failed")
        with suppress(Exception):
            one.cut()
