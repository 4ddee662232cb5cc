"""Steps: what attempts record of effects that are to happen once."""

from __future__ import annotations

from msgspec.structs import replace

from unlost.effects import Recorded, Step, has_room, recorded
from unlost.ledger.memory.store import Store
from unlost.ledger.values import NewStep, StepLook


class Steps(Store):
    """Keeps the promises of `protocol.Steps`."""

    async def effect_secret(self) -> bytes:
        return self._secret

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        kept = self._running.get(token)
        if kept is None or kept.record.task_id != task_id:
            return StepLook(False)
        step = kept.steps.get(name)
        return StepLook(True, step if step is not None and step.stands else None)

    async def record_step(self, new: NewStep) -> Recorded:
        kept = self._running.get(new.token)
        if kept is None or kept.record.task_id != new.task_id:
            return Recorded.NOT_RUNNING
        standing = {name: step for name, step in kept.steps.items() if step.stands}
        known = standing.pop(new.name, None)
        size = sum(len((step.result or "").encode()) for step in standing.values())
        verdict = recorded(known, new.result, len(standing), size)
        if known is None and has_room(len(standing)):
            good = verdict is Recorded.KEPT
            number = kept.record.attempts[-1].number
            kept.steps[new.name] = Step(
                new.name, number, self._now(), good, new.result if good else None
            )
        return verdict

    async def steps_of(self, task_id: str, *, results: bool = False) -> list[Step]:
        kept = self._tasks.get(task_id)
        found = [] if kept is None else [*kept.listed_steps]
        return found if results else [replace(step, result=None) for step in found]
