"""The referee: sees when all is settled, and reads what the ledger says at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tests.simulation.adversary import atomic
from tests.simulation.explaining import wrong
from tests.simulation.facts import as_settled
from tests.simulation.history import Event, History
from unlost.audit import Audit, audit
from unlost.effects import Effect
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import Report
from unlost.limits.why import Facts, why
from unlost.task import TERMINAL, Record
from unlost.task import Event as Happening


class Final(msgspec.Struct, frozen=True):
    """What the ledger says when all is over, through its protocol."""

    records: dict[str, Record | None]
    unreported: int
    audit: Audit
    effects: tuple[tuple[str, Effect], ...]  # each with its task's id


class Referee:
    """Asks the ledger itself, past the adversary, and never changes anything before the end."""

    def __init__(self, ledger: MemoryLedger, history: History) -> None:
        self._ledger = ledger
        self._history = history
        self._read = 0
        self._deaths = 0
        self._recorded: set[int] = set()
        self._running: dict[str, set[tuple[str, int]]] = {}  # handlers, by process
        self._declared: dict[str, set[tuple[str, int, int]]] = {}  # and not recorded, likewise

    def ask_why(self) -> None:
        """Ask why each task waits that does, and see whether that is true."""
        for task_id in sorted(self._ledger._waiting):
            facts: Facts = atomic(self._ledger.facts([task_id]))[task_id]
            found = tuple(wrong(self._ledger, facts))
            self._history.add("referee", "explained", task_id, why(facts).reason, found)

    def settled(self) -> bool:
        """Whether all tasks have ended, all deaths are reported, no handler runs, and what they
        declared is recorded."""
        counts = atomic(self._ledger.counts())
        if any(n for state, n in counts.states.items() if state not in TERMINAL):
            return False
        events = self._history.events
        for place in range(self._read, len(events)):
            self._look_at(events[place])
        self._read = len(events)
        under_way = [*self._running.values(), *self._declared.values()]
        return self._deaths <= len(self._recorded) and not any(under_way)

    def _look_at(self, event: Event) -> None:
        if event.what == "started":
            self._running.setdefault(event.who, set()).add(event.data)
        elif event.what == "ended":
            self._running[event.who].discard(event.data[:2])
        elif event.what == "declares":
            self._declared.setdefault(event.who, set()).add(event.data[:3])
        elif event.what in ("crashed", "exited"):
            self._running.pop(event.who, None)
            self._declared.pop(event.who, None)
        elif event.what == "applied":
            _, name, args, answer = event.data
            if name == "settle":
                ends = [as_settled(*one) for one in zip(args[0], answer, strict=True) if one[1]]
                self._deaths += sum(end.event is Happening.DIE for end in ends)
            elif name == "reported":
                self._recorded.update(args[0])
            elif name == "declare_effects":
                keys = {(one.task_id, one.attempt, one.turn) for one in args[0]}
                self._declared.get(event.who, set()).difference_update(keys)

    def final(self, task_ids: Sequence[str]) -> Final:
        """The last reads."""
        records: dict[str, Any] = {one: atomic(self._ledger.get(one)) for one in task_ids}
        far = 10**18
        unreported: list[Report] = atomic(self._ledger.claim_reports(1000, far))
        effects = atomic(self._ledger.list_effects(None, 10_000)).effects
        return Final(
            records,
            len(unreported),
            atomic(audit(self._ledger)),
            tuple((one.task_id, one.effect) for one in effects),
        )
