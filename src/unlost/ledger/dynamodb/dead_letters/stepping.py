"""A step of a redrive: what has ended is counted, and what may go next is taken.

Each letter is taken in the transaction that counts it, together with as many others as such a
transaction may hold; the redrive's item is written on the condition that it is as it was read, so
that of two who make a step at once one does.  A letter costs what `acts` says and 4 WCU more, of
which 2 once it has ended; each step reads the records of all that are under way, 1 RCU each and
more by their size, and some sixty dead letters that are not meant for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from unlost.effects import may_forget
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.faults import Clash
from unlost.ledger.dynamodb.connection.indexes import Stretch, existing, merged, partitions, stands
from unlost.ledger.dynamodb.connection.writes import Delete, Put, Same, Write
from unlost.ledger.dynamodb.dead_letters import redrives
from unlost.ledger.dynamodb.dead_letters.redrives import AT_ONCE, changes
from unlost.ledger.dynamodb.effects.forgetting import forgetting
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.schema import DEAD, LOOK
from unlost.ledger.dynamodb.steps import Step, writes
from unlost.ledger.dynamodb.stored.effects import effects_of
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.redrives import Kept, mark, position, way_item, way_of
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import acts, reading
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Part
from unlost.redrive import (
    AHEAD,
    AHEAD_OF_SWEEPS,
    LAST,
    UNSAID,
    Ends,
    Look,
    Named,
    Position,
    Redrive,
    Window,
    advanced,
    ended,
    stopped,
    wanted,
)
from unlost.task import TERMINAL, Act, Event, Micros, State

TAKEN_AT_ONCE = AT_ONCE // 3
"""Letters of one transaction: each is its record, what was done, and that it is under way."""

COUNTED_AT_ONCE = 300
"""Letters whose records are read together as they are counted."""

ROUNDS = 10
"""Transactions in which one step takes letters: more are for the next step, soon."""

TRIES = 50


class Letter(msgspec.Struct, frozen=True):
    """A dead letter where it stands; `stored` is read only where it may be taken."""

    position: Position
    stored: Stored | None = None


class Chosen(msgspec.Struct, frozen=True):
    """What a redrive was begun with, read once a step, and where those stand that it names, in
    order (None: it names none), with their ids."""

    named: Named
    places: tuple[tuple[str, str], ...] | None


async def step(
    calls: Calls, tell: Telling, redrive_id: str, now: Micros, patience: Micros
) -> Redrive:
    """Make a step; where somebody else makes one, the redrive as it is.  Raises UnknownRedrive."""
    kept = await redrives.must_find(calls, redrive_id)
    if not kept.redrive.open:
        return kept.redrive
    try:
        kept = await _end(calls, kept, now)
        named: Chosen | None = None
        for _ in range(ROUNDS):
            look = next_look(kept.redrive, now, patience)
            if look is None:
                break
            named = await _chosen(calls, kept.redrive) if named is None else named
            kept = await _advance(calls, tell, kept, named, look, now, patience)
    except _Overtaken:
        kept = await redrives.must_find(calls, redrive_id)
    return kept.redrive


def next_look(redrive: Redrive, now: Micros, patience: Micros) -> Look | None:
    """Where the next step has something to do already, None nowhere."""
    ahead = AHEAD if patience == 0 else AHEAD_OF_SWEEPS
    return wanted(redrive, now, TAKEN_AT_ONCE, ahead)


class _Overtaken(Exception):
    """Somebody else has changed the redrive."""


async def _end(calls: Calls, kept: Kept, now: Micros) -> Kept:
    """Count the letters that have ended, as many in one transaction as it holds."""
    ways = await redrives.under_way(calls, kept.redrive.id)
    records = await reading.find_many(calls, [way_of(item)[0] for item in ways])
    over = [(item, end) for item in ways if (end := await _end_of(calls, records, item))]
    for at in range(0, max(len(over), 1), AT_ONCE):
        some = over[at : at + AT_ONCE]
        found = Counter(end for _, end in some)
        ends = Ends(found[State.SUCCEEDED], found[State.DEAD], found[State.CANCELLED])
        gone = [Delete((item["pk"], item["sk"])) for item, _ in some]
        kept = await _write(calls, kept, ended(kept.redrive, ends, now), gone)
    return kept


async def _end_of(calls: Calls, records: dict[str, Stored], item: Item) -> State | None:
    """How a letter has ended, None where it has not.

    What was redriven or discarded since had died again; a record that is gone counts as cancelled.
    """
    task_id, redrive_count = way_of(item)
    stored = records.get(task_id)
    if stored is None:
        return State.CANCELLED
    if stored.redrive_count > redrive_count:
        return State.DEAD
    if stored.state not in TERMINAL:
        return None
    if stored.state is State.CANCELLED and await _discarded(calls, stored):
        return State.DEAD
    return stored.state


async def _discarded(calls: Calls, stored: Stored) -> bool:
    last = await calls.get(schema.act_key(stored.task_id, stored.acts))
    return last is not None and last["event"] == Event.DISCARD.value


async def _write(
    calls: Calls, kept: Kept, after: Redrive, beside: Iterable[Write | Same] = ()
) -> Kept:
    """Write what the redrive becomes, with what belongs to it.  Raises _Overtaken, Clash for what
    lies beside it."""
    own = changes(kept, after)
    if not own:
        return kept
    try:
        await calls.write_together([*own, *beside])
    except Clash as clash:
        if clash.index < len(own):
            raise _Overtaken from None
        raise
    written = await redrives.must_find(calls, after.id)
    if written.redrive != after:  # else what others have counted since would be counted twice
        raise _Overtaken
    return written


async def _advance(
    calls: Calls,
    tell: Telling,
    kept: Kept,
    chosen: Chosen,
    look: Look,
    now: Micros,
    patience: Micros,
) -> Kept:
    """Count or take what is at a place.  Those whom others take at the same moment are left."""
    for _ in range(TRIES):
        letters, window = await _window(calls, kept.redrive, chosen, look)
        if kept.redrive.counting is None and _barred(letters, chosen.named):
            return await _write(calls, kept, stopped(kept.redrive, UNSAID, now))
        after, taken = advanced(kept.redrive, window, now)
        going = [
            (letter.stored, one.due_at)
            for letter, one in zip(letters, taken, strict=False)
            if letter.stored is not None
        ]
        steps = await _revived(calls, after, chosen.named, going, now, patience)
        beside = [
            write
            for stored, made in steps
            for write in (
                *writes(stored, made),
                Put(way_item(after.id, stored.task_id, made.new.redrive_count)),
            )
        ]
        try:
            kept = await _write(calls, kept, after, beside)
        except Clash:
            continue
        for _, made in steps:
            tell.moved(made.new)
        return kept
    raise LedgerUnavailable(f"others change the letters of the redrive {kept.redrive.id}")


async def _revived(
    calls: Calls,
    redrive: Redrive,
    named: Named,
    going: Sequence[tuple[Stored, Micros]],
    now: Micros,
    patience: Micros,
) -> list[tuple[Stored, Step]]:
    """What becomes of letters that are taken, each due at its time."""
    who = (redrive.by, redrive.reason, redrive.api_key)
    act = Act(now, Event.REDRIVE, *who, redrive=redrive.id)
    forgotten = await together(forgetting(calls, stored, named.forget) for stored, _ in going)
    return [
        (stored, acts.revived(act, due_at, patience, named.payload, what, stored))
        for (stored, due_at), what in zip(going, forgotten, strict=True)
    ]


def _barred(letters: Iterable[Letter], named: Named) -> bool:
    """Whether steps stand of which it is not said what becomes of them."""
    stored = (letter.stored for letter in letters if named.forget_unsaid)
    return any(one is not None and one.standing for one in stored)


async def _window(
    calls: Calls, redrive: Redrive, named: Chosen, look: Look
) -> tuple[list[Letter], Window]:
    """What is there; of what is not named, `look.rows` dead letters are looked at."""
    until = look.until or (redrive.started_at, LAST)
    found: list[Letter] = []
    last, seen = look.after, 0
    walk = _walk if named.places is None else _named
    async for letters in walk(calls, redrive, named, look, until):
        for letter, meant in letters:
            last, seen = letter.position, seen + 1
            if meant and (redrive.counting is not None or _may_be_taken(letter, named)):
                found.append(letter)
            if len(found) == look.most or (seen == look.rows and named.places is None):
                return found, _seen(found, last, more=True)
    return found, _seen(found, last if look.until is None else look.until, more=False)


def _may_be_taken(letter: Letter, named: Chosen) -> bool:
    stored = letter.stored
    return stored is None or may_forget(effects_of(stored), named.named.forget)


def _seen(found: list[Letter], last: Position, *, more: bool) -> Window:
    return Window(tuple(letter.position for letter in found), last, more)


Looked = AsyncIterator[list[tuple[Letter, bool]]]
"""Dead letters in order, each with whether it is meant."""


async def _walk(
    calls: Calls, redrive: Redrive, _named: Chosen, look: Look, until: Position
) -> Looked:
    """Those that the index knows, from where the redrive looks.

    The first count goes by the index alone: what it does not know to be over is `gone` later.
    One after a stop is the last, and reads the records.
    """
    after = mark(look.after)
    stretch = Stretch(LOOK, "at", after, mark(until))
    async for entries in merged(calls, await partitions(calls, DEAD), stretch, look.most + 1):
        later = [entry for entry in entries if entry["at"] > after]
        size = TAKEN_AT_ONCE if redrive.counting is None else COUNTED_AT_ONCE
        for at in range(0, len(later), size):
            some = later[at : at + size]
            alike = [one for one in some if redrive.means(one["type"], one.get("fingerprint", ""))]
            if redrive.selected is None:
                meant = {entry["pk"] for entry in alike}
                yield [(Letter(position(one["at"])), one["pk"] in meant) for one in some]
            else:
                free = await _free(calls, redrive, alike)
                yield [
                    (Letter(position(one["at"]), free.get(one["pk"])), one["pk"] in free)
                    for one in some
                ]


async def _free(calls: Calls, redrive: Redrive, entries: Sequence[Item]) -> dict[str, Stored]:
    """Those that are dead as the index says, and that this redrive has not taken."""
    tasks = await existing(calls, entries)
    still = {
        entry["pk"]: tasks[entry["pk"]]
        for entry in entries
        if entry["pk"] in tasks and stands(tasks[entry["pk"]], entry)
    }
    taken = await _taken(calls, redrive, still.values())
    return {pk: stored for pk, stored in still.items() if stored.task_id not in taken}


async def _taken(calls: Calls, redrive: Redrive, tasks: Iterable[Stored]) -> set[str]:
    """Those whose history says that this redrive took them."""
    keys = [key for one in tasks if one.acts for key in reading.part_keys(one, (Part.HISTORY,))]
    items = await calls.get_many(keys) if keys else {}
    return {
        schema.task_id(pk) for (pk, _), item in items.items() if item.get("redrive") == redrive.id
    }


async def _chosen(calls: Calls, redrive: Redrive) -> Chosen:
    """Of those that are named, the dead ones that are meant."""
    named = await redrives.named(calls, redrive.id)
    if named.task_ids is None:
        return Chosen(named, None)
    tasks = await reading.find_many(calls, set(named.task_ids))
    meant = (
        (mark_of(stored), stored.task_id)
        for stored in tasks.values()
        if stored.died_at is not None and redrive.means(stored.type, stored.fingerprint or "")
    )
    return Chosen(named, tuple(sorted(meant)))


async def _named(
    calls: Calls, redrive: Redrive, named: Chosen, look: Look, until: Position
) -> Looked:
    """Those that are named, from where the redrive looks, as they are now."""
    after, high = mark(look.after), mark(until)
    places = [(at, task_id) for at, task_id in named.places or () if after < at <= high]
    for first in range(0, len(places), look.most):
        some = places[first : first + look.most]
        tasks = await reading.find_many(calls, [task_id for _, task_id in some])
        still = [
            (at, tasks[task_id])
            for at, task_id in some
            if task_id in tasks and tasks[task_id].died_at is not None
            if mark_of(tasks[task_id]) == at
        ]
        taken = await _taken(calls, redrive, [stored for _, stored in still])
        yield [(Letter(position(at), stored), stored.task_id not in taken) for at, stored in still]


def mark_of(stored: Stored) -> str:
    """Where a dead letter stands among them."""
    return f"{schema.moment(stored.died_at or 0)}#{schema.place(stored.position)}"
