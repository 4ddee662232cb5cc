"""Claims of workers that claim by the API, as they are written down before they start anything.
Pure.

A claim has the tokens of its attempts and each task's `op` as it was read.  An attempt starts in a
write on the condition that its task is that version still: so it starts once, whoever brings the
claim on, and never once anything else has happened to the task.
"""

from __future__ import annotations

from typing import Final

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.task import MAX_TIMEOUT, SECOND, Micros

KEPT: Final = (MAX_TIMEOUT + 3_600) * SECOND
"""How long a claim is kept: longer than anything that it gave can run."""

MOST_BYTES: Final = 300 * 1024
"""Bytes of a claim's item, about, at most."""

BESIDE: Final = 100
"""Bytes that an attempt takes in it beside its task's id."""


class Given(msgspec.Struct, frozen=True):
    """An attempt that a claim gives, by its task's id; `op` is the task's version before."""

    task_id: str
    token: str
    op: str

    def untouched(self, stored: Stored | None) -> bool:
        """Whether it has not started, and may."""
        return stored is not None and stored.op == self.op

    def runs(self, stored: Stored | None) -> bool:
        """Whether its attempt runs."""
        return stored is not None and stored.token == self.token


class KeptClaim(msgspec.Struct, frozen=True):
    """A claim: whose it is, what its tokens begin with, when it began, and what it gives."""

    known_by: str
    worker: str
    began: Micros
    alone: bool
    given: tuple[Given, ...]
    item: Item | None = None

    def is_of(self, worker: str, prefix: str) -> bool:
        """Whether a call of this worker is the same, whose tokens begin so."""
        return worker == self.worker and all(one.token.startswith(prefix) for one in self.given)


def fitting(tasks: list[Stored]) -> list[Stored]:
    """Of these tasks, in order, those that one claim can be written down with."""
    room = MOST_BYTES
    for number, stored in enumerate(tasks):
        room -= len(stored.task_id.encode()) + BESIDE
        if room < 0:
            return tasks[:number]
    return tasks


def written(claim: KeptClaim) -> Item:
    """The item of a claim."""
    pk, sk = schema.claim_key(claim.known_by)
    return {
        "pk": pk,
        "sk": sk,
        "worker": claim.worker,
        "began": claim.began,
        "alone": claim.alone or None,
        "given": [[one.task_id, one.token, one.op] for one in claim.given],
        "ttl": (claim.began + KEPT) // SECOND,
    }


def read(item: Item) -> KeptClaim:
    """The claim in an item."""
    given = tuple(Given(*one) for one in item["given"])
    known_by = schema.known_by(item["pk"])
    return KeptClaim(known_by, item["worker"], item["began"], item.get("alone", False), given, item)
