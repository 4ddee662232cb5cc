"""Remembering what was made of the texts that clients send, so many of them and no long ones: a
header may have 32 KiB, and a cache of some hundred would keep megabytes for good."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, TypeVar

LONGEST: Final = 255
"""Characters, or bytes, of a text that is remembered."""

Text = TypeVar("Text", str, bytes)
Made = TypeVar("Made")


def remembered(most: int) -> Callable[[Callable[[Text], Made]], Callable[[Text], Made]]:
    """A decorator: of the last `most` texts that are not long, what the function makes of them is
    remembered."""

    def around(make: Callable[[Text], Made]) -> Callable[[Text], Made]:
        known = lru_cache(maxsize=most)(make)

        @wraps(make)
        def made(text: Text) -> Made:
            return known(text) if len(text) <= LONGEST else make(text)

        return made

    return around
