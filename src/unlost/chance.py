"""Chance that can be repeated: a number that depends on its names alone."""

from __future__ import annotations

import hashlib


def fraction(seed: int, *names: str | int) -> float:
    """A number in [0, 1), uniform over the names and the same each time, in every process."""
    text = "\0".join(map(str, (seed, *names)))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53
