"""Telling the log of each call that changes something else than by a submit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from unlost.access.caller import Caller
from unlost.api.openapi.operation import Operation
from unlost.telemetry.logs import Log

LOG: Final = Log("unlost.api")

MOST_IDS: Final = 100
"""Ids that a line names; of more it says how many there were."""


def acted(
    operation: Operation,
    caller: Caller,
    ids: Iterable[str],
    by: str | None = None,
    reason: str | None = None,
    **more: object,
) -> None:
    """Say what was done, to what, by which key, and by whom and why, as they said it."""
    named = list(ids)
    count = {} if len(named) <= MOST_IDS else {"idCount": len(named)}
    told = {"call": operation.name, "ids": named[:MOST_IDS], "apiKey": caller.name, "by": by}
    LOG.info("api.acted", extra={**told, "reason": reason, **count, **more})
