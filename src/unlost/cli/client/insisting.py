"""Calls that may come twice: made again where the answer was lost, or the service is busy."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

from unlost.cli.client.connection import NoService, Refused
from unlost.cli.client.delivery import CLOCK, FIRST_PATIENCE, PASSING, Clock

T = TypeVar("T")

PAUSE = 0.5
"""Seconds from one such call to the next."""


def call_id() -> str:
    """An id for a call that acts: the service does once what comes twice with the same.  It is
    short, since a person may have to type it: that of a redrive names it."""
    return secrets.token_hex(6)


def insist(call: Callable[[], T], patience: float = FIRST_PATIENCE, clock: Clock = CLOCK) -> T:
    """Make the call until it is answered, for `patience` seconds.

    Raises NoService or Refused when that is over, or for a refusal that would stay.
    """
    until = clock.now() + patience
    while True:
        try:
            return call()
        except (NoService, Refused) as trouble:
            passing = isinstance(trouble, NoService) or trouble.status in PASSING
            if not passing or clock.now() >= until:
                raise
        clock.sleep(PAUSE)
