"""Who acts, and calls that may come twice: ledgers keep both with the task's history.

A client that got no answer sends the same again, with the same id.  What a call asks for is kept
as a digest beside that id, so that the same call is told from another one with its id.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from unlost.ledger.protocol import AnotherCall, Repeated


class Who(msgspec.Struct, frozen=True):
    """Who did something, and why, as they said it, the name of the key by which they did, and
    which call it was, where that may come twice; or the redrive that did it for them."""

    by: str | None
    reason: str | None
    api_key: str | None = None
    call: str | None = None
    redrive: str | None = None


def call(call_id: str, digest: bytes) -> str:
    """A call as ledgers keep it: its id (which has no space), and a digest of all it asks for."""
    return f"{call_id} {digest.hex()}"


def compare(call: str | None, made: Iterable[str | None]) -> None:
    """Compare a call with those that were made.  Raises Repeated, AnotherCall."""
    if call is None:
        return
    call_id, _, _ = call.partition(" ")
    for before in made:
        if before == call:
            raise Repeated
        if before is not None and before.partition(" ")[0] == call_id:
            raise AnotherCall
