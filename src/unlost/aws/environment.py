"""What the functions are told by their environment variables.

    UNLOST_TABLE                     the DynamoDB table
    UNLOST_QUEUE_URL                 the work queue
    UNLOST_DEAD_LETTER_QUEUE_URL     the dead-letter queue
    UNLOST_FUNCTION_TIMEOUT          seconds that an invocation of `process` may take
    UNLOST_KEYS                      `required` (the default) or `off`: whether calls need a key
    UNLOST_SHARDS                    into how many shards a new table spreads its lists (8)
    UNLOST_TRACING                   `on` traces calls with X-Ray; `off` is the default

and every setting of `unlost.settings`, such as UNLOST_HANDLER.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from unlost.ledger.dynamodb.schema import MOST_SHARDS, SHARDS
from unlost.settings import Settings, WrongSetting, resolve

LONGEST_FUNCTION: Final = 900.0
"""Seconds that Lambda lets an invocation take at most."""

MARGIN: Final = 15.0
"""Seconds of a function's time that are not an attempt's: to start, to end a handler that was
told to, and to settle."""

SHORTEST_FUNCTION: Final = MARGIN + 1.0
"""Seconds below which a function has no time for attempts."""

TABLE = "UNLOST_TABLE"
QUEUE = "UNLOST_QUEUE_URL"
DEAD_LETTERS = "UNLOST_DEAD_LETTER_QUEUE_URL"


class Environment(msgspec.Struct, frozen=True):
    """What a function is told.  What it does not need may be empty."""

    settings: Settings
    table: str
    queue_url: str
    dead_letter_queue_url: str
    function_timeout: float
    keys_required: bool
    tracing: bool
    shards: int

    @property
    def longest_attempt(self) -> float:
        """Seconds that an attempt may take at most."""
        return self.function_timeout - MARGIN


def read(environ: Mapping[str, str], *needed: str) -> Environment:
    """What the environment says; the variables `needed` must be set.  Raises WrongSetting."""
    for name in (TABLE, *needed):
        if not environ.get(name):
            raise WrongSetting(f"{name} must be set")
    return Environment(
        resolve({}, environ),
        environ[TABLE],
        environ.get(QUEUE, ""),
        environ.get(DEAD_LETTERS, ""),
        _function_timeout(environ),
        _choice(environ, "UNLOST_KEYS", "required", "off") == "required",
        _choice(environ, "UNLOST_TRACING", "off", "on") == "on",
        _shards(environ),
    )


def _function_timeout(environ: Mapping[str, str]) -> float:
    text = environ.get("UNLOST_FUNCTION_TIMEOUT", "")
    try:
        seconds = float(text) if text else LONGEST_FUNCTION
    except ValueError:
        seconds = 0.0
    shortest = SHORTEST_FUNCTION + 1  # some of it has passed when an invocation looks at its time
    if not shortest <= seconds <= LONGEST_FUNCTION:
        raise WrongSetting(
            f"UNLOST_FUNCTION_TIMEOUT must be {shortest:g} to {LONGEST_FUNCTION:g}"
            f" seconds, not {text!r}"
        )
    return seconds


def _shards(environ: Mapping[str, str]) -> int:
    text = environ.get("UNLOST_SHARDS") or str(SHARDS)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_SHARDS):
        raise WrongSetting(f"UNLOST_SHARDS must be 1 to {MOST_SHARDS}, not {text!r}")
    return int(text)


def _choice(environ: Mapping[str, str], name: str, default: str, other: str) -> str:
    word = environ.get(name) or default
    if word not in (default, other):
        raise WrongSetting(f"{name} must be {default} or {other}, not {word!r}")
    return word
