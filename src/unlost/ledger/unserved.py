"""Which types wait for a worker that is not there, as every ledger tells it.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

Served = tuple[Collection[str] | None, bool]
"""What a living worker serves: its types, None for every type; and whether it claims by the
API."""


def unserved(
    waiting: Iterable[str], workers: Iterable[Served], pulled: Collection[str]
) -> tuple[str, ...]:
    """Of these types those that nobody serves; of those that are `pulled`, no worker that claims
    by the API."""
    pairs = [(types, by_pull) for types, by_pull in workers]
    anybody = _served(types for types, _ in pairs)
    pulling = _served(types for types, by_pull in pairs if by_pull)
    served = {True: pulling, False: anybody}
    return tuple(
        sorted(
            name
            for name in waiting
            if (known := served[name in pulled]) is not None and name not in known
        )
    )


def _served(workers: Iterable[Collection[str] | None]) -> set[str] | None:
    """The types of all of them, None for every type."""
    found: set[str] = set()
    for types in workers:
        if types is None:
            return None
        found.update(types)
    return found
