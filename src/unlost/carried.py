"""What goes with a task from its submit to all that follows from it, as its ledger keeps it.

It is the JSON text `carried` of a submission, of which a ledger knows the `parent` alone.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from unlost.task import Micros


class Scheduled(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The schedule by which a task was submitted, and the time for which; `by_hand` where somebody
    asked for it then."""

    id: str
    time: Micros
    by_hand: bool = False


class Parent(msgspec.Struct, frozen=True):
    """The task that submitted another with its success, and the number of the attempt that did."""

    id: str
    attempt: int


class Carried(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a task carries.  Members that are not known (of another version) are passed over.

    `traceparent` and `tracestate` are the submit's own place in its trace, as W3C headers have
    it; `batch` says that other tasks may have the same.  `submitted_by` names the
    key by which the task was submitted; `schedule` is there where a schedule did, `parent` where
    another task's handler did.
    """

    callback_url: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    batch: bool = False
    submitted_by: str | None = None
    schedule: Scheduled | None = None
    parent: Parent | None = None


NOTHING = Carried()

_read = msgspec.json.Decoder(Carried).decode


def read(text: str | None) -> Carried:
    """What the text says; None is nothing, and so is what nobody of us has written: no task may
    be held up by that."""
    if text is None:
        return NOTHING
    try:
        return _read(text)
    except msgspec.MsgspecError:
        return NOTHING


def parent(text: str | None) -> str | None:
    """The id of the task from which this one followed."""
    if text is None or '"parent":' not in text:  # nearly all
        return None
    found = read(text).parent
    return None if found is None else found.id


def write(carried: Carried) -> str | None:
    """The text to keep; None for nothing."""
    return None if carried == NOTHING else msgspec.json.encode(carried).decode()


@lru_cache(maxsize=1_000)
def by(submitted_by: str | None) -> str | None:
    """What a task carries of which nothing is known but the key that has submitted it."""
    return write(Carried(submitted_by=submitted_by))
