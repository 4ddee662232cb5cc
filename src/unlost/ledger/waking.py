"""Wake-ups: of which types tasks may have become due.  Pure.

None stands for any type: where it is not known, or there are many.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

Woken = frozenset[str] | None

MOST_NAMED: Final = 16
"""Types that one wake-up names: their names have to fit into a notification of PostgreSQL."""

_decode = msgspec.json.Decoder(frozenset[str]).decode


def named(types: Collection[str]) -> Woken:
    """These types, unless they are too many to be named."""
    return frozenset(types) if len(types) <= MOST_NAMED else None


def joined(wakes: Iterable[Woken]) -> Woken:
    """One wake-up for several."""
    types: set[str] = set()
    for one in wakes:
        if one is None:
            return None
        types |= one
    return named(types)


def covers(one: Woken, other: Woken) -> bool:
    """Whether who hears the one need not hear the other."""
    return one is None or (other is not None and other <= one)


def told(types: Woken) -> bytes:
    """A wake-up as other processes are told of it; those of older releases read nothing of it."""
    return b"" if types is None else msgspec.json.encode(sorted(types))


def heard(words: bytes | str) -> Woken:
    """A wake-up that another process has told, perhaps one of another release."""
    try:
        return _decode(words) if words else None
    except msgspec.DecodeError:
        return None
