"""How fast a key may submit: a bucket of tokens, two seconds' worth of them.  Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from unlost.task import SECOND, Micros

BURST: Final = 2.0
"""Seconds' worth of submits that may come at once."""


class Bucket(msgspec.Struct, frozen=True):
    """What was left at a moment."""

    tokens: float
    at: Micros


def room(rate: float) -> float:
    """How many submits may come at once; one at least, however slow the rate."""
    return max(1.0, BURST * rate)


def taken(bucket: Bucket | None, rate: float, wanted: int, now: Micros) -> tuple[Bucket, int]:
    """The bucket after `wanted` submits have come now, and how many of them it allows.

    Without one it is full.  A clock that goes back fills nothing.
    """
    full = room(rate)
    since = 0 if bucket is None else max(0, now - bucket.at)
    tokens = full if bucket is None else min(full, bucket.tokens + rate * since / SECOND)
    allowed = min(wanted, int(tokens))
    return Bucket(tokens - allowed, now), allowed


def wait(bucket: Bucket, rate: float) -> float:
    """Seconds until there is a token again."""
    return max(0.0, (1 - bucket.tokens) / rate)
