"""What is set for types (`Control`): claims look at it each time, so that it holds on all machines
at once, and whatever ends an attempt tells it to the type's breaker.

Claims of such types lock their rows, one after the other, and count what runs anew; nothing that
was counted can be wrong.  What ends attempts locks them too where it has to tell a breaker, or to
bring back a task that waits for its key (`told`).  Rows of tasks that claims do not lock
themselves they pass over, so who holds those may wait for these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from unlost.ledger.postgres.connection.transaction import NOW, Transaction, cannot_be, packed, text
from unlost.ledger.postgres.controls import pacing
from unlost.limits.breaker import Ending, after, excuses
from unlost.limits.control import (
    NAMED_FOR,
    Change,
    Claimant,
    Control,
    Pause,
    Rooms,
    Run,
    changed,
    left_to_others,
)
from unlost.limits.rate import LIFTED

CONTROLS: Final = "SELECT settings, rate, key_rate, excuse, pull FROM unlost.control ORDER BY type"

NAMED: Final = "ANY (ARRAY(SELECT json_array_elements_text(%(names)s::json)))"

LOCK: Final = """
SELECT settings, rate, key_rate, excuse, pull FROM unlost.control WHERE true{which}
ORDER BY type FOR UPDATE
"""
LOCK_ALL: Final = LOCK.format(which="")
LOCK_SOME: Final = LOCK.format(which=f" AND type = {NAMED}")
LOCK_TOLD: Final = LOCK.format(which=f" AND told AND type = {NAMED}")

# As many as there are slots in all workers.
RUNNING: Final = "SELECT type, key, started_at FROM unlost.open_task WHERE token IS NOT NULL"

NAMED_BY_PULLS: Final = f"""
SELECT unnest(types) FROM unlost.worker WHERE pull AND lease_until > {NOW} - {NAMED_FOR} ORDER BY id
"""

# One that is there is written too, so that it is locked and read however often others drop it.
LOCK_ONE: Final = """
INSERT INTO unlost.control AS it (type, paused, told, settings)
VALUES (%(type)s, false, false, '')
ON CONFLICT (type) DO UPDATE SET type = it.type
RETURNING settings, rate, key_rate, excuse, pull
"""

KEEP: Final = """
UPDATE unlost.control SET paused = %(paused)s, told = %(told)s, settings = %(settings)s,
  rate = %(rate)s, key_rate = %(key_rate)s, excuse = %(excuse)s,
  pull = %(pull)s
WHERE type = %(type)s
"""

DROP: Final = "DELETE FROM unlost.control WHERE type = %(type)s"

_decode = msgspec.json.Decoder(Control).decode


def _read(
    settings: str,
    limit: float | None,
    key_limit: float | None,
    excuse: bool | None,
    pull: bool | None,
) -> Control:
    """What stands beside the settings holds, which older code leaves out of them."""
    known = replace(_decode(settings), rate=limit, key_rate=key_limit, pull=bool(pull))
    if known.breaker is None:
        return known
    return replace(known, breaker=replace(known.breaker, excuse=bool(excuse)))


class Ended(msgspec.Struct, frozen=True):
    """What follows where attempts have ended: whether some may have a key that others wait for,
    and the places of those that their breakers excuse."""

    by_key: bool = False
    excused: list[int] = []


async def named(transaction: Transaction, claimant: Claimant) -> list[str]:
    """The types that this claimant leaves to workers that claim by the API, and name them."""
    if claimant is not Claimant.STAND_IN:
        return []
    return sorted({row[0] for row in await transaction.rows(NAMED_BY_PULLS)})


async def controls(transaction: Transaction) -> list[Control]:
    """What is set, by type."""
    return [_read(*row) for row in await transaction.rows(CONTROLS)]


async def _locked(transaction: Transaction, task_type: str) -> Control:
    """What is set for a type, with a row of its own that is locked."""
    ((settings, *beside),) = await transaction.rows(LOCK_ONE, {"type": task_type})
    return _read(settings, *beside) if settings else Control(task_type)


async def _keep(transaction: Transaction, control: Control) -> None:
    values = {
        "type": control.type,
        "paused": control.pause is not None,
        "told": control.by_key or control.breaker is not None,
        "rate": control.rate,
        "key_rate": control.key_rate,
        "excuse": True if control.breaker is not None and control.breaker.excuse else None,
        "pull": control.pull or None,
        "settings": msgspec.json.encode(control).decode(),
    }
    await transaction.do(KEEP, values)  # before it is dropped, too: a row with rates stays
    if control.empty:
        await transaction.do(DROP, {"type": control.type})
    transaction.wake = True


async def pause(
    transaction: Transaction, task_type: str, by: str | None, reason: str | None
) -> None:
    """Let no claim take tasks of this type."""
    if cannot_be(task_type):
        return
    known = await _locked(transaction, task_type)
    new = known.pause or Pause(task_type, transaction.now, text(by), text(reason))
    await _keep(transaction, replace(known, pause=new))


async def resume(transaction: Transaction, task_type: str) -> None:
    """Let claims take them again."""
    if not cannot_be(task_type):
        await _keep(transaction, replace(await _locked(transaction, task_type), pause=None))


async def change(transaction: Transaction, task_type: str, change: Change) -> bool:
    """Set limits, rates or a breaker; whether a rate of its keys was taken away that is still
    known to claims: they go on to bring back what waits for it, whatever becomes of who does so.
    """
    if cannot_be(task_type):
        return False
    old = await _locked(transaction, task_type)
    new = changed(old, change)
    removed = old.key_rate is not None and new.key_rate is None
    await _keep(transaction, replace(new, key_rate=LIFTED) if removed else new)
    return removed


async def forget_key_rate(transaction: Transaction, task_type: str) -> None:
    """Let claims forget the rate of a type's keys, now that nothing waits for it; not one that was
    set meanwhile."""
    known = await _locked(transaction, task_type)
    await _keep(transaction, replace(known, key_rate=None) if known.key_rate == LIFTED else known)


async def locked_rooms(
    transaction: Transaction,
    types: Collection[str] | None,
    claimant: Claimant,
    named: Collection[str],
) -> tuple[list[str], Rooms]:
    """The types for which something is set, of these or of all, and how many of their attempts
    this claimant may start; so until the transaction's end."""
    if types is None:
        asked = await transaction.ask(LOCK_ALL)
    else:
        asked = await transaction.ask(LOCK_SOME, {"names": packed(sorted(types))})
    running = await transaction.rows(RUNNING)
    return await _rooms(transaction, await transaction.read(asked), running, claimant, named)


async def rooms(
    transaction: Transaction, claimant: Claimant, named: Collection[str]
) -> tuple[list[str], Rooms]:
    """The same, at this moment."""
    asked = await transaction.ask(CONTROLS)
    running = await transaction.rows(RUNNING)
    return await _rooms(transaction, await transaction.read(asked), running, claimant, named)


async def _rooms(
    transaction: Transaction,
    settings: Iterable[tuple[Any, ...]],
    running: Iterable[tuple[Any, ...]],
    claimant: Claimant,
    named: Collection[str],
) -> tuple[list[str], Rooms]:
    known = [_read(*row) for row in settings if row[0]]
    known = left_to_others(known, named) if named else known
    names = [control.type for control in known]
    found = Rooms(known, [Run(*row) for row in running], transaction.now, None, claimant)
    await pacing.know(transaction, found, ((name, None) for name in names))
    return names, found


async def ended(transaction: Transaction, attempts: Iterable[tuple[str, Ending | None]]) -> Ended:
    """Attempts of these types have ended: they leave room, and breakers learn of them.

    Types with keys that others wait for are locked then.
    """
    if not transaction.controlled:
        return Ended()
    transaction.wake = True
    endings = list(attempts)
    names = packed(sorted({name for name, _ in endings}))
    told = [_read(*row) for row in await transaction.rows(LOCK_TOLD, {"names": names})]
    excused = []
    for control in told:
        new, breaker = control.circuit, control.breaker
        for place, (name, ending) in enumerate(endings):
            if name == control.type and ending is not None and breaker is not None:
                if excuses(breaker, new, ending, transaction.now):
                    excused.append(place)
                new = after(breaker, new, ending, transaction.now)
        if new != control.circuit:
            await _keep(transaction, replace(control, circuit=new))
    return Ended(any(control.by_key for control in told), excused)
