"""What is set for types, as the memory ledger keeps it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from unlost.limits.breaker import Ending, after, excuses
from unlost.limits.control import (
    Change,
    Claimant,
    Control,
    Paced,
    Pause,
    Rooms,
    Run,
    changed,
    left_to_others,
)
from unlost.limits.rate import Pace
from unlost.task import Micros


class KeptControls:
    """Controls by type; a type for which nothing is set has none."""

    def __init__(self) -> None:
        self._controls: dict[str, Control] = {}
        self._paces: dict[Paced, Pace] = {}

    def __contains__(self, task_type: str) -> bool:
        return task_type in self._controls

    def get(self, task_type: str) -> Control | None:
        """What is set for a type."""
        return self._controls.get(task_type)

    def listed(self) -> list[Control]:
        """By type."""
        return [self._controls[name] for name in sorted(self._controls)]

    def paused(self, task_type: str) -> bool:
        return self._of(task_type).pause is not None

    def _of(self, task_type: str) -> Control:
        return self._controls.get(task_type, Control(task_type))

    def _keep(self, control: Control) -> None:
        self._controls[control.type] = control
        if control.empty:
            del self._controls[control.type]

    def pause(self, pause: Pause) -> None:
        """Pause a type; where it is paused already, that pause stays."""
        known = self._of(pause.type)
        self._keep(replace(known, pause=known.pause or pause))

    def resume(self, task_type: str) -> None:
        self._keep(replace(self._of(task_type), pause=None))

    def change(self, task_type: str, change: Change) -> None:
        self._keep(changed(self._of(task_type), change))

    @property
    def pulled(self) -> set[str]:
        """The types that are marked `pull`."""
        return {control.type for control in self._controls.values() if control.pull}

    def rooms(
        self,
        running: Iterable[Run],
        now: Micros,
        claimant: Claimant = Claimant.LOCAL,
        named: Collection[str] = (),
    ) -> Rooms:
        """What may start beside what runs."""
        known = left_to_others(self._controls.values(), named)
        return Rooms(known, running, now, self._paces, claimant)

    def started(self, rooms: Rooms, attempts: Iterable[Paced]) -> None:
        """Attempts of these types and keys have started, for which there were these rooms."""
        self._paces |= rooms.paced(attempts)

    def ended(self, task_type: str, ending: Ending | None, now: Micros) -> bool:
        """Have the type's breaker, if there is one, learn how an attempt ended; whether it excuses
        that."""
        control = self._of(task_type)
        if control.breaker is None or ending is None:
            return False
        before, circuit = control.circuit, after(control.breaker, control.circuit, ending, now)
        self._keep(replace(control, circuit=circuit))
        return excuses(control.breaker, before, ending, now)
