"""Checks the promises against the records themselves, beside live traffic.

A pass reads every entry, page by page.  What one record must look like is in `promises.py`; a
suspect one is read again before it is called a violation.  The counters are compared with the
records only where nothing moved: two passes that saw the same, with the counters read between
them, are one snapshot.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import msgspec

from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Entry
from unlost.promises import broken
from unlost.task import TERMINAL, State

PAGE = 500
"""Entries in one read."""

LISTED = 1_000
"""Violations of single tasks that are listed at most."""


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


class _Counters(msgspec.Struct, frozen=True):
    """What the ledger counted, so far as records can confirm it."""

    accepted: int
    settled: int
    states: dict[State, int]
    position: int
    groups: dict[str, int]


async def _counters(ledger: Ledger) -> _Counters:
    now = await ledger.counts()
    groups = {group.fingerprint: group.count for group in await ledger.groups()}
    return _Counters(now.accepted, now.settled, dict(now.states), now.position, groups)


class _Pass:
    """What one pass over the entries saw.  `mark` is equal for passes that saw the same."""

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self.groups: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self._mark = hashlib.blake2b(digest_size=16)

    @property
    def mark(self) -> bytes:
        return self._mark.digest()

    def add(self, entry: Entry) -> None:
        record = entry.record
        self.states[record.state] += 1
        if entry.dead_letter is not None:
            self.groups[entry.dead_letter] += 1
        seen = (entry.position, record.state, record.updated_at, entry.token, entry.dead_letter)
        self._mark.update(repr(seen).encode())


async def audit(ledger: Ledger) -> Audit:
    """Check all tasks that were there when this began.  Raises LedgerUnavailable."""
    before = await _counters(ledger)
    seen = await _read(ledger, before.position)
    after = await _counters(ledger)
    violations = seen.violations
    suspects = list(_sums(after, seen)) if before == after else []
    if suspects and (await _read(ledger, before.position)).mark == seen.mark:
        violations += suspects
    found = seen.states.total()
    lost = before.accepted - found
    if lost:
        detail = f"{before.accepted} were accepted, {found} are there"
        violations.append(Violation(None, "nothing is lost", detail))
    return Audit(
        ok=not violations,
        accepted=before.accepted,
        outstanding=sum(n for state, n in seen.states.items() if state not in TERMINAL),
        lost=lost,
        states={state: seen.states[state] for state in State},
        violations=violations,
    )


async def _read(ledger: Ledger, last: int) -> _Pass:
    """One pass over the entries up to position `last`."""
    seen, position = _Pass(), 0
    while position < last:
        page = await ledger.entries(position, PAGE)
        for entry in page:
            if entry.position <= last:
                seen.add(entry)
                found = await _violations(ledger, entry)
                seen.violations += found[: LISTED - len(seen.violations)]
        position = page[-1].position if page else last
    return seen


async def _violations(ledger: Ledger, entry: Entry) -> list[Violation]:
    """The promises that this entry breaks, and still breaks when it is read again."""
    suspect = broken(entry)
    if not suspect:
        return []
    still = {}
    for again in await ledger.entries(entry.position - 1, 1):
        if again.position == entry.position:
            still = broken(again)
    task_id = entry.record.task_id
    return [Violation(task_id, name, still[name]) for name in suspect if name in still]


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
