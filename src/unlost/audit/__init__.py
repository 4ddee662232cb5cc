"""Checks the promises against the records themselves, beside live traffic.

A pass reads every entry, page by page.  What one record must look like is in `promises.py`; a
suspect one is read again before it is called a violation.  The counters are compared with the
records only where nothing moved: two passes that saw the same, with the counters read between
them, are one snapshot.

Where the counters follow the records, later (`Behind`), they are compared minute by minute of
submission: what was submitted in a minute that is over is a fixed number, to which both come.
What differs is looked at again until it agrees, or has had the time to.  The states are compared
there only once records and counters have stood still for as long.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Protocol, runtime_checkable

import msgspec
from msgspec.structs import replace

from unlost.audit import follow_ups, redrives, schedules
from unlost.audit.promises import broken
from unlost.audit.schedules import ScheduleSums
from unlost.ledger.protocol import Ledger, exact_counts
from unlost.ledger.values import MINUTE, Cohorts, Entry
from unlost.ledger.walking import pages
from unlost.schedule.schedule import Schedule
from unlost.task import SECOND, TERMINAL, State

LISTED = 1_000
"""Violations of single tasks that are listed at most."""

PAUSES = (0.5, 15.0)
"""Seconds before what differs is looked at again: at first, doubled each time, and at most."""

LOST = "nothing is lost"
FOLLOWED = "a follow-up is there if and only if its parent succeeded"
REDRIVES = "the sums of redrives are right"
SCHEDULES = "every time of a schedule is accounted for"
TWICE = "no two tasks are of one tick"

Sleep = Callable[[float], Awaitable[None]]


class Violation(msgspec.Struct, frozen=True, rename="camel"):
    """A broken promise: of one task, or (`task_id` None) of the ledger as a whole."""

    task_id: str | None
    promise: str
    detail: str


class Audit(msgspec.Struct, frozen=True):
    """What the records say.  `lost` is what was accepted less what is there; all else is counted
    from the records."""

    ok: bool
    accepted: int
    outstanding: int
    lost: int
    states: dict[State, int]
    violations: list[Violation]
    schedules: list[ScheduleSums] = []


@runtime_checkable
class Behind(Protocol):
    """What a ledger has whose counters follow its records."""

    async def cohorts(self) -> Cohorts:
        """What is counted as accepted so far."""
        ...


class _Counters(msgspec.Struct, frozen=True):
    """What the ledger counted, so far as records can confirm it."""

    accepted: int
    settled: int
    states: dict[State, int]
    position: int
    groups: dict[str, int]


async def _counters(ledger: Ledger) -> _Counters:
    now = await exact_counts(ledger)
    groups = {group.fingerprint: group.count for group in await ledger.groups(0)}
    return _Counters(now.accepted, now.settled, dict(now.states), now.position, groups)


class _Pass:
    """What one pass over the entries saw.  `mark` is equal for passes that saw the same."""

    def __init__(self, begun: Mapping[str, Schedule]) -> None:
        self._schedules = begun
        self.ticks: Counter[str] = Counter()
        self.states: Counter[State] = Counter()
        self.groups: Counter[str] = Counter()
        self.minutes: Counter[int] = Counter()
        self.fates: redrives.Fates = Counter()
        self.violations: list[Violation] = []
        self._mark = hashlib.blake2b(digest_size=16)

    @property
    def mark(self) -> bytes:
        return self._mark.digest()

    def add(self, entry: Entry) -> None:
        record = entry.record
        self.states[record.state] += 1
        self.minutes[record.submitted_at // MINUTE] += 1
        self.fates.update(redrives.fates(record))
        if (schedule := schedules.made_by(record, self._schedules)) is not None:
            self.ticks[schedule] += 1
        if entry.dead_letter is not None:
            self.groups[entry.dead_letter] += 1
        seen = (entry.position, record.state, record.updated_at, entry.token, entry.dead_letter)
        self._mark.update(repr(seen).encode())


async def audit(ledger: Ledger, sleep: Sleep = asyncio.sleep) -> Audit:
    """Check all tasks that were there when this began.  Raises LedgerUnavailable.

    `sleep` waits for counters that are behind.
    """
    begun = await schedules.known(ledger)
    if isinstance(ledger, Behind):
        found, ticks = await _audit_behind(ledger, ledger, begun, sleep)
    else:
        found, ticks = await _audit_exactly(ledger, begun)
    sums, unsound = await schedules.sums(ledger, begun, ticks)
    wrong = [Violation(None, SCHEDULES, detail) for detail in unsound]
    return replace(
        found,
        ok=found.ok and not wrong,
        violations=[*found.violations, *wrong],
        schedules=sums,
    )


_Found = tuple[Audit, schedules.Seen]


async def _audit_exactly(ledger: Ledger, planned: Mapping[str, Schedule]) -> _Found:
    begun = await redrives.known(ledger)
    before = await _counters(ledger)
    seen = await _read(ledger, planned, before.position)
    after = await _counters(ledger)
    suspects = list(_sums(after, seen)) if before == after else []
    if suspects and (await _read(ledger, {}, before.position)).mark != seen.mark:
        suspects = []
    found = seen.states.total()
    lost = before.accepted - found
    if lost:
        detail = f"{before.accepted} were accepted, {found} are there"
        suspects.append(Violation(None, LOST, detail))
    unsound = redrives.wrong(begun, seen.fates, await redrives.known(ledger))
    suspects += [Violation(None, REDRIVES, detail) for detail in unsound]
    return _audit(seen, before.accepted, lost, suspects), schedules.Seen(seen.ticks)


def _audit(seen: _Pass, accepted: int, lost: int, sums: list[Violation]) -> Audit:
    violations = [*seen.violations, *sums]
    return Audit(
        ok=not violations,
        accepted=accepted,
        outstanding=sum(n for state, n in seen.states.items() if state not in TERMINAL),
        lost=lost,
        states={state: seen.states[state] for state in State},
        violations=violations,
    )


class _Look(msgspec.Struct, frozen=True):
    """Records and counters as they were at about the same time: what of them does not agree.

    `differ` are minutes in which what was accepted is not what is there, `sums` other sums.
    """

    seen: _Pass
    accepted: dict[int, int]
    differ: list[Violation]
    sums: list[Violation]


async def _look(
    ledger: Ledger, behind: Behind, planned: Mapping[str, Schedule], newest: int
) -> _Look:
    """Look at what was submitted up to the minute `newest`."""
    seen = await _read(ledger, planned, newest=newest)
    counters = await _counters(ledger)
    cohorts = (await behind.cohorts()).accepted
    accepted = {minute: count for minute, count in cohorts.items() if minute <= newest}
    # What was submitted since is in the counters, and not in what was seen.
    alike = counters.accepted == sum(accepted.values())
    sums = list(_sums(counters, seen)) if alike else []
    return _Look(seen, accepted, list(_minutes(accepted, seen)), sums)


async def _audit_behind(
    ledger: Ledger, behind: Behind, planned: Mapping[str, Schedule], sleep: Sleep
) -> _Found:
    """The audit of a ledger whose counters are behind: it waits until they are not."""
    begun = await behind.cohorts()
    patience = (MINUTE + begun.lag) / SECOND  # the newest minute ends, and is counted
    look = await _look(ledger, behind, planned, begun.newest)
    waited = stood = 0.0
    still, (pause, longest) = True, PAUSES
    while waited < patience if look.differ else look.sums and still and stood < patience:
        await sleep(pause)
        again = await _look(ledger, behind, planned, begun.newest)
        still = again.seen.mark == look.seen.mark
        waited, stood = waited + pause, stood + pause if still else 0.0
        look, pause = again, min(2 * pause, longest)
    lost = sum(max(0, n - look.seen.minutes[minute]) for minute, n in look.accepted.items())
    sums = look.sums if stood >= patience else []
    found = _audit(look.seen, sum(look.accepted.values()), lost, look.differ + sums)
    return found, schedules.Seen(look.seen.ticks, begun.newest)


async def _read(
    ledger: Ledger,
    planned: Mapping[str, Schedule],
    last: float = math.inf,
    newest: float = math.inf,
) -> _Pass:
    """One pass over the entries up to position `last`, submitted up to the minute `newest`."""
    seen = _Pass(planned)
    async for page in pages(ledger.entries, attrgetter("position"), last=last):
        asked = [entry for entry in page if entry.record.submitted_at // MINUTE <= newest]
        if not asked:
            break
        for entry in asked:
            seen.add(entry)
            found = await _violations(ledger, entry)
            seen.violations += found[: LISTED - len(seen.violations)]
    return seen


async def _violations(ledger: Ledger, entry: Entry) -> list[Violation]:
    """The promises that this entry breaks, and still breaks when it is read again."""
    task_id = entry.record.task_id
    by = schedules.passed_by(entry.record)
    if by is not None and (other := await schedules.twice(ledger, task_id, by)):
        return [Violation(task_id, TWICE, f"it is of the same tick as {other}")]
    for unsound in (
        await follow_ups.wrong(ledger, entry.record),
        await follow_ups.missing(ledger, entry),
    ):
        if unsound is not None:
            return [Violation(task_id, FOLLOWED, unsound)]
    suspect = broken(entry)
    if not suspect:
        return []
    still = {}
    for again in await ledger.entries(entry.position - 1, 1):
        if again.position == entry.position:
            still = broken(again)
    return [Violation(task_id, name, still[name]) for name in suspect if name in still]


def _minutes(accepted: dict[int, int], seen: _Pass) -> Iterator[Violation]:
    """Where what was counted at submit differs from the records, by minute of submission."""
    for minute in sorted(accepted.keys() | seen.minutes.keys()):
        counted, found = accepted.get(minute, 0), seen.minutes[minute]
        if counted != found:
            promise = LOST if counted > found else "what is accepted is counted"
            at = datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%MZ")
            yield Violation(None, promise, f"of {at}, {counted} were accepted, {found} are there")


def _sums(counters: _Counters, seen: _Pass) -> Iterator[Violation]:
    """Where what was counted as it happened differs from the records."""
    for state in State:
        counted, found = counters.states.get(state, 0), seen.states[state]
        if counted != found:
            detail = f"{counted} tasks counted as {state}, {found} are"
            yield Violation(None, "the counts of states are right", detail)
    for fingerprint in sorted(counters.groups.keys() | seen.groups.keys()):
        counted, found = counters.groups.get(fingerprint, 0), seen.groups[fingerprint]
        if counted != found:
            detail = f"{counted} dead letters counted under {fingerprint}, {found} are"
            yield Violation(None, "the groups of dead letters are right", detail)
