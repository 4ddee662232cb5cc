"""A history as people read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.simulation.history import UNKNOWN, Event
from tests.simulation.world import EPOCH
from unlost.ledger.values import Claimed, Held, Report, Settlement, Submitted
from unlost.task import SECOND, Micros, Submission

LOOKS = frozenset({"due_in", "dropped", "get", "page", "groups", "counts", "entries", "extend"})
"""Calls that change nothing that a story needs."""

ALWAYS = frozenset({"enlist", "dismiss", "reported", "cancel", "redrive", "discard"})
"""Calls that are told although they answer nothing."""


def told(events: Sequence[Event]) -> Iterator[str]:
    """One line for each event, but for what found nothing and changed nothing."""
    taken: dict[int, Micros] = {}  # calls, and when the ledger took them
    for event in events:
        line = _line(event, taken)
        if line:
            yield f"{(event.at - EPOCH) / SECOND:11.6f}  {event.who:<16} {line}"


def _line(event: Event, taken: dict[int, Micros]) -> str:
    if event.what == "counts":
        return ""
    if event.what == "applied":
        call, name, args, answer = event.data
        again = " again" if call in taken else ""
        taken[call] = event.at
        if name in LOOKS or not (answer or name in ALWAYS):
            return ""
        return f"#{call}{again} {name}({_args(name, args)}) → {_shown(answer)}"
    if event.what == "heard":
        call, name, answer = event.data
        if answer is UNKNOWN:
            return f"#{call} {name}: unavailable"
        late = event.at > taken[call] and name not in LOOKS and answer
        return f"#{call} {name}: heard only now" if late else ""
    return " ".join([event.what, *map(_shown, event.data)])


def _args(name: str, args: tuple[Any, ...]) -> str:
    if name == "claim":
        return f"{len(args[0].tokens)} for {args[0].worker}"
    return ", ".join(_shown(arg) for arg in args if arg not in (None, {}))


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, Exception):
        return f"{type(value).__name__}({value})"
    show = _SHOWN.get(type(value))
    return str(value) if show is None else show(value)


_SHOWN: dict[type, Callable[[Any], str]] = {
    Settlement: lambda one: (
        f"{one.task_id} {one.outcome} {one.event} {one.wait / SECOND:g} s ({one.token[:6]})"
    ),
    Claimed: lambda one: f"{one.task_id} attempt {one.number} ({one.token[:6]})",
    Held: lambda one: f"{one.task_id} ({one.token[:6]}) of {one.worker}",
    Submission: lambda one: f"{one.task_id} {one.payload}",
    Submitted: lambda one: str(one.verdict),
    Report: lambda one: f"{one.task_id} after {one.attempt_count} attempts",
}
