"""Effects that happen once: steps with names, what is kept of them, and the keys by which others
know them; and effects of which a handler says that they have happened.  Pure.

A handler's `once` makes a step: what its function returned is recorded under the step's name, and
later attempts get that in its place.  A redrive may *forget* names: their steps run again, under
another key.  Attempts do not run meanwhile, so that names are forgotten in none's lifetime.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from unlost import jsontext
from unlost.task import Micros

MAX_NAME: Final = 100
MAX_RESULT: Final = 64 * 1024
"""Bytes of JSON that are kept of one step."""
MAX_RESULTS: Final = 1024 * 1024
"""Bytes of JSON that are kept of all steps of a task."""
MAX_STEPS: Final = 1_000
"""Names that have a result in one task."""
MAX_NAMES: Final = 2_000
"""Names that are recorded of one task; of more nothing is, so that none costs ever more."""
MAX_FORGET: Final = 50
"""Names that one redrive may forget."""
MAX_FORGOTTEN: Final = 1_000
"""Names that all redrives of a task may forget: they go with its record and with each attempt."""
SECRET: Final = 32
"""Bytes of a ledger's secret, from which its effect keys come."""

MAX_EFFECTS: Final = 1_000
"""Effects that are recorded of one attempt."""
MAX_EFFECT_NAME: Final = 200
"""Characters that are kept of an effect's name."""

_NAME: Final = re.compile(rf"[A-Za-z0-9._:-]{{1,{MAX_NAME}}}", re.ASCII)

Forget = Literal[True] | tuple[str, ...]
"""What a redrive forgets: these names, or (True) all of which the task knows."""


class Step(msgspec.Struct, frozen=True):
    """What is recorded of a step: `attempt` is the number of the one that recorded it.

    Not `kept`: it was made, and what it returned is no JSON, or too large.  `result` is JSON text,
    None also where it was not asked for.  `forgotten_at`: a redrive forgot it, and it was not made
    again since.
    """

    name: str
    attempt: int
    at: Micros
    kept: bool = True
    result: str | None = None
    forgotten_at: Micros | None = None

    @property
    def stands(self) -> bool:
        """Whether the step is not made again."""
        return self.forgotten_at is None


class Effects(msgspec.Struct, frozen=True, omit_defaults=True):
    """What goes with a task's attempts beyond its ledger's secret; most tasks have none.

    `forgotten` says how often each name of a step was, where it was.  `key` is the task's effect
    key where it was brought from another ledger.
    """

    forgotten: dict[str, int] = {}
    key: str | None = None


class Effect(msgspec.Struct, frozen=True):
    """What an attempt's handler says has happened: `turn` counts what it says, from 1."""

    attempt: int
    turn: int
    name: str
    at: Micros


class Recorded(StrEnum):
    """What became of a record of a step."""

    KEPT = "kept"
    NOT_KEPT = "not_kept"
    """Recorded, without what it returned; beyond `MAX_NAMES` not recorded either."""
    ANOTHER = "another"
    """Nothing is recorded: another result stands under this name."""
    NOT_RUNNING = "not_running"
    """Nothing is recorded: the attempt has ended."""


class TooManyForgotten(Exception):
    """A redrive would have the task forget more names than `MAX_FORGOTTEN` in all."""


def is_name(name: object) -> bool:
    """Whether a step may be called so."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def effect_name(name: object) -> str:
    """The name of an effect as it is kept.  What happened is recorded whatever it is called."""
    text = str(name)[:MAX_EFFECT_NAME]
    shown = "".join("\N{REPLACEMENT CHARACTER}" if _hidden(one) else one for one in text)
    return shown or "?"


def _hidden(character: str) -> bool:
    """Whether it is a control character, or half of one, which not every ledger can keep."""
    return unicodedata.category(character) in {"Cc", "Cs"}


def effect_key(secret: bytes, task_id: str, submitted_at: Micros) -> str:
    """The task's own for ever, as long as its ledger has this secret: 32 hex digits."""
    text = f"{task_id}/{submitted_at}".encode()
    return hashlib.sha256(secret + text).hexdigest()[:32]


def idempotency_key(effect_key: str, forgotten: int, name: str) -> str:
    """By which others know a step of a task whose name was forgotten so often: 40 hex digits."""
    return hashlib.sha256(f"{effect_key}/{forgotten}/{name}".encode()).hexdigest()[:40]


def recorded(known: Step | None, result: str | None, count: int, size: int) -> Recorded:
    """What becomes of a record that a running attempt brings; `result` None is not to be kept.

    `known` is what stands under its name; `count` and `size` are the number of the task's other
    steps that stand, and the bytes of their results.
    """
    if known is not None:
        if not known.kept:
            return Recorded.NOT_KEPT
        return Recorded.KEPT if _is_same(result, known.result) else Recorded.ANOTHER
    if result is None or count >= MAX_STEPS:
        return Recorded.NOT_KEPT
    own = len(result.encode())
    return Recorded.KEPT if own <= MAX_RESULT and size + own <= MAX_RESULTS else Recorded.NOT_KEPT


def _is_same(result: str | None, known: str | None) -> bool:
    """Whether they are equal as JSON: who records a step again may write its result anew."""
    if result is None or known is None:
        return result is known
    return jsontext.is_same(result, known)


def has_room(count: int) -> bool:
    """Whether a task records one more step, where so many others stand."""
    return count < MAX_NAMES


def forgetting(effects: Effects | None, steps: Iterable[str], forget: Forget) -> Effects | None:
    """The task's, once a redrive forgets these names; `steps` are those that have a record.

    A name without a record counts too: its key changes.  Raises TooManyForgotten.
    """
    before = Effects() if effects is None else effects
    names = {*steps, *before.forgotten} if forget is True else {*forget}
    if not names:
        return effects
    more = {name: before.forgotten.get(name, 0) + 1 for name in sorted(names)}
    forgotten = {**before.forgotten, **more}
    if len(forgotten) > MAX_FORGOTTEN:
        raise TooManyForgotten
    return replace(before, forgotten=forgotten)


def may_forget(effects: Effects | None, names: Iterable[str]) -> bool:
    """Whether a redrive of many may have the task forget these; one that may not is left dead."""
    return effects is None or len({*effects.forgotten, *names}) <= MAX_FORGOTTEN


def taken_along(
    effects: Effects | None, secret: bytes, task_id: str, submitted_at: Micros, *, over: bool
) -> Effects | None:
    """A task's, as another ledger is to keep it: with its key, unless it can never run again."""
    own = Effects() if effects is None else effects
    key = None if over else own.key or effect_key(secret, task_id, submitted_at)
    along = replace(own, key=key)
    return None if along == Effects() else along


def is_forgotten(name: str, forget: Forget) -> bool:
    """Whether a redrive that forgets these forgets this one, which has a record."""
    return forget is True or name in forget
