"""Dead letters: what people do about tasks that died, and the report of each death."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from unlost.effects import Forget, forgetting, is_forgotten
from unlost.ledger.calls import compare
from unlost.ledger.memory.kept.task import Kept, key
from unlost.ledger.memory.store import Store
from unlost.ledger.protocol import StepsStand
from unlost.ledger.values import ROOM, Group, Order, Report
from unlost.ledger.weight import longest_sample
from unlost.task import Act, Event, Micros


class DeadLetters(Store):
    """Keeps the promises of `protocol.DeadLetters`."""

    async def groups(self, room: int = ROOM, types: Collection[str] | None = None) -> list[Group]:
        dead = self._dead_letters()
        groups = _groups(kept for kept in dead if types is None or kept.record.type in types)
        longest = longest_sample(room, len(groups))
        return [replace(group, sample=group.sample[:longest]) for group in groups]

    async def discard(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        *,
        api_key: str | None = None,
        call: str | None = None,
    ) -> None:
        kept = self._find(task_id)
        compare(call, (act.call for act in kept.record.history))
        self._act(kept, Act(self._now(), Event.DISCARD, by, reason, api_key, call))

    async def redrive(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        payload: str | None = None,
        *,
        api_key: str | None = None,
        call: str | None = None,
        forget: Forget | None = None,
    ) -> None:
        kept, act = self._find(task_id), Act(self._now(), Event.REDRIVE, by, reason, api_key, call)
        compare(call, (act.call for act in kept.record.history))
        stands = kept.dead_letter is not None and any(s.stands for s in kept.steps.values())
        if payload is not None and forget is None and stands:
            raise StepsStand(task_id)
        self._redrive(kept, act, act.at, payload, forget or ())

    def _redrive(
        self, kept: Kept, act: Act, due_at: Micros, payload: str | None, forget: Forget
    ) -> None:
        payload = kept.record.payload if payload is None else payload
        count = kept.record.redrive_count + 1
        dead = kept.dead_letter is not None
        effects = forgetting(kept.effects, kept.steps, forget) if dead else kept.effects
        self._act(kept, act, due_at, redrive_count=count, excused_count=0, payload=payload)
        kept.spent = 0
        kept.effects = effects
        for name, step in kept.steps.items():
            if step.stands and is_forgotten(name, forget):
                kept.steps[name] = replace(step, forgotten_at=act.at)

    def _dead_letters(self) -> list[Kept]:
        """Oldest death first."""
        dead = [kept for kept in self._tasks.values() if kept.dead_letter]
        return sorted(dead, key=lambda kept: key(Order.DIED, kept))


def _groups(dead_letters: Iterable[Kept]) -> list[Group]:
    """Dead letters (oldest first) counted by fingerprint, most first."""
    found: dict[str, Group] = {}
    for kept in dead_letters:
        error, at = kept.dead_letter, kept.died_at
        if error is not None:
            alike = found.get(error.fingerprint)
            group = alike or Group(error.fingerprint, error.type, error.message, 0, at, at)
            found[error.fingerprint] = replace(group, count=group.count + 1, last_at=at)
    return sorted(found.values(), key=lambda group: (-group.count, group.fingerprint))


class Reports(Store):
    """Keeps the promises of `protocol.Reports`."""

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        now = self._now()
        free = [report for report, until in self._reports.values() if until <= now][:limit]
        self._reports |= {report.id: (report, now + lease) for report in free}
        return free

    async def reported(self, report_ids: Collection[int]) -> None:
        for report_id in report_ids:
            self._reports.pop(report_id, None)
