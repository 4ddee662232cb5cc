"""The advisory locks of a ledger, each for one transaction."""

from __future__ import annotations

from typing import Final

OURS: Final = 0x756E6C6F  # "unlo"

COUNTING: Final = 1
"""Submits share it; who counts has it alone, so that no submit is half done in what he sees."""

MIGRATING: Final = 2

MEASURING: Final = 3
"""Who writes measures has it alone: what one writes hangs on what another wrote."""


def lock(number: int) -> str:
    """The statement that takes a lock alone."""
    return f"SELECT pg_advisory_xact_lock({OURS}, {number})"


def lock_shared(number: int) -> str:
    """The statement that takes a lock with others."""
    return f"SELECT pg_advisory_xact_lock_shared({OURS}, {number})"
