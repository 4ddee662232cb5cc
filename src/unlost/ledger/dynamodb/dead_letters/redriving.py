"""Bulk redrives: runs of calls that take the dead letters there were, oldest first, each once.

A run's item: pk `runs`, sk a digest of its selectors; `began`, `slot` (when the next attempt may
be set), `last` (its last call).  It is there only while more is left; a run that is over, or was
left alone for `RUN_PAUSE`, is none.  `began` is kept before anything is redriven, and what dies
later stands behind it in the list of dead letters: so a call that was cut off may be repeated.

A redrive costs what `acts` says, a call 2 WCU more while its run goes on; it reads the list of
dead letters from its beginning, 1 RCU for some sixty, until it has found enough.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.faults import Clash
from unlost.ledger.dynamodb.connection.indexes import Stretch, existing, merged, partitions, stands
from unlost.ledger.dynamodb.connection.writes import Change, Delete, Put
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.schema import DEAD, LOOK, RUNS, Key
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import acts, reading
from unlost.ledger.protocol import LedgerUnavailable, Refused, UnknownTask
from unlost.ledger.values import RUN_PAUSE, Selection
from unlost.task import SECOND, Act, Micros

TRIES = 10
FORGOTTEN: Micros = 24 * 3_600 * SECOND
"""After how long the table may forget a run that was left alone."""


class Run(msgspec.Struct, frozen=True):
    """A run as a call finds it; `item` is None while it has none."""

    key: Key
    began: Micros
    slot: Micros
    item: Item | None


async def redrive_many(
    calls: Calls, tell: Telling, selection: Selection, act: Act, patience: Micros
) -> tuple[int, bool]:
    """Redrive dead letters, oldest death first; how many, and whether the run has more.

    Those that somebody else redrives or discards at the same moment are passed over.
    """
    for _ in range(TRIES):
        run = await _run(calls, selection, act.at)
        slot = max(run.slot, act.at) if selection.interval else act.at
        meant = await _meant(calls, selection, run.began)
        chosen, more = meant[: selection.limit], len(meant) > selection.limit
        slots = [slot + number * selection.interval for number in range(len(chosen) + 1)]
        if more and not await _keep(calls, run, slots[-1], act.at):
            continue  # another call of this run was quicker
        done = await together(
            _revive(calls, tell, stored, act, due, patience)
            for stored, due in zip(chosen, slots, strict=False)
        )
        if run.item is not None and not more:
            with suppress(Clash):  # it is another call's by now
                await calls.write(Delete(run.key, run.item["op"]))
        return sum(done), more
    raise LedgerUnavailable("too many calls redrive the same dead letters")


async def _run(calls: Calls, selection: Selection, now: Micros) -> Run:
    key = (RUNS, selection.run)
    item = await calls.get(key)
    if item is None or item["last"] + RUN_PAUSE < now:
        return Run(key, now, now, item)
    return Run(key, item["began"], item["slot"], item)


async def _keep(calls: Calls, run: Run, slot: Micros, now: Micros) -> bool:
    """Keep the run for its next call; False if that call has come already."""
    pk, sk = run.key
    ttl = (now + FORGOTTEN) // SECOND
    item = {"pk": pk, "sk": sk, "began": run.began, "slot": slot, "last": now, "ttl": ttl}
    try:
        await calls.write(Change(run.item, item) if run.item else Put(item, only_new=True))
    except Clash:
        return False
    return True


async def _revive(
    calls: Calls, tell: Telling, stored: Stored, act: Act, due: Micros, patience: Micros
) -> bool:
    try:
        await acts.revive(calls, tell, stored, act, due, patience)
    except (Refused, UnknownTask):
        return False
    return True


async def _meant(calls: Calls, selection: Selection, began: Micros) -> list[Stored]:
    """What is selected of those that were dead when the run began, one more than the limit."""
    if selection.task_ids is not None:
        tasks = await reading.find_many(calls, set(selection.task_ids))
        return _selected(tasks.values(), selection, began)
    found: list[Stored] = []
    async for tasks_ in _walk(calls, selection, began):
        found += _selected(tasks_, selection, began)
        if len(found) > selection.limit:
            break
    return found[: selection.limit + 1]


async def _walk(calls: Calls, selection: Selection, began: Micros) -> AsyncIterator[list[Stored]]:
    """Dead letters that the index knows to be like what is selected, oldest death first."""
    walk = Stretch(LOOK, "at", schema.moment(0), schema.up_to(began))
    shards = await partitions(calls, DEAD)
    async for entries in merged(calls, shards, walk, selection.limit + 1):
        alike = [
            entry
            for entry in entries
            if selection.means(entry["type"])
            and selection.fingerprint in (None, entry.get("fingerprint"))
        ]
        tasks = await existing(calls, alike)
        yield [
            tasks[entry["pk"]]
            for entry in alike
            if entry["pk"] in tasks and stands(tasks[entry["pk"]], entry)
        ]


def _selected(tasks: Iterable[Stored], selection: Selection, began: Micros) -> list[Stored]:
    """Those that are meant, oldest death first."""
    meant = [
        stored
        for stored in tasks
        if stored.died_at is not None
        and stored.died_at <= began
        and selection.means(stored.type)
        and selection.fingerprint in (None, stored.fingerprint)
    ]
    return sorted(meant, key=lambda stored: (stored.died_at or 0, stored.position))
