"""Hints between the ledger objects of one process that are open on one table."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from unlost.ledger.local_hints import LocalHints

Store = tuple[str, str]

# Hints belong to an event loop, and end with it.
_hints: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Store, LocalHints]] = WeakKeyDictionary()


def hints_of(store: Store) -> LocalHints:
    """The hints about this table in the running event loop."""
    return _hints.setdefault(asyncio.get_running_loop(), {}).setdefault(store, LocalHints())
