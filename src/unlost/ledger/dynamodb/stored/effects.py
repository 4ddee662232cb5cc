"""Steps as items and back, and what the record says of them.  Pure.

A redrive that forgets a step writes the record alone: the step's item says how often its name had
been forgotten when it was recorded (`of`), and the record when each name was (`forgot`, JSON).
So a step stands while the two agree.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from unlost.effects import Effects, Forget, Step
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.task import Micros

Times = dict[str, list[Micros]]
"""When redrives forgot each name."""

_decode = msgspec.json.Decoder(Times).decode


def times(stored: Stored) -> Times:
    """When redrives of this task forgot each name."""
    return {} if stored.forgot is None else _decode(stored.forgot)


def effects_of(stored: Stored) -> Effects | None:
    """What goes with the task's attempts."""
    if stored.forgot is None and stored.effect_key is None:
        return None
    forgotten = {name: len(when) for name, when in times(stored).items()}
    return Effects(forgotten, stored.effect_key)


def step_item(task_id: str, step: Step, forgotten: int) -> Item:
    """What is recorded of a step whose name had been forgotten so often."""
    pk, sk = schema.step_key(task_id, step.name)
    return {
        "pk": pk,
        "sk": sk,
        "attempt": step.attempt,
        "recorded_at": step.at,
        "kept": step.kept or None,
        "result": step.result,
        "of": forgotten or None,
    }


def name_of(item: Item) -> str:
    """The name of the step in an item."""
    return str(item["sk"]).removeprefix(schema.STEP)


def step_of(item: Item, when: Times) -> Step:
    """The step in an item."""
    name, of = name_of(item), item.get("of", 0)
    since = when.get(name, [])[of:]
    return Step(
        name,
        item["attempt"],
        item["recorded_at"],
        item.get("kept", False),
        item.get("result"),
        since[0] if since else None,
    )


def listed(items: Iterable[Item], when: Times) -> tuple[Step, ...]:
    """Steps by time, then by name."""
    steps = (step_of(item, when) for item in items)
    return tuple(sorted(steps, key=lambda step: (step.at, step.name)))


def size_of(step: Step) -> int:
    """Bytes of what is kept of it."""
    return len((step.result or "").encode())


def with_step(stored: Stored, step: Step) -> tuple[Stored, Item]:
    """The record with a step that stands from now on, and its item."""
    new = replace(
        stored,
        standing=(stored.standing or 0) + 1,
        step_bytes=(stored.step_bytes or 0) + size_of(step),
    )
    return new, step_item(stored.task_id, step, len(times(stored).get(step.name, [])))


class Forgetting(msgspec.Struct, frozen=True):
    """What a redrive forgets, with the items of those steps."""

    forget: Forget = ()
    items: tuple[Item, ...] = ()


def forgot(stored: Stored, what: Forgetting, at: Micros) -> Stored:
    """The record once a redrive has forgotten these."""
    before = times(stored)
    names = {*map(name_of, what.items), *before} if what.forget is True else {*what.forget}
    if not names:
        return stored
    steps = (step_of(item, before) for item in what.items)
    gone = [step for step in steps if step.stands and step.name in names]
    after = {**before, **{name: [*before.get(name, []), at] for name in sorted(names)}}
    new = replace(stored, forgot=msgspec.json.encode(after).decode())
    if stored.standing is None:
        return new
    size = (stored.step_bytes or 0) - sum(map(size_of, gone))
    return replace(new, standing=stored.standing - len(gone), step_bytes=size)


def restored(
    stored: Stored, effects: Effects | None, steps: Iterable[Step]
) -> tuple[Stored, tuple[Item, ...]]:
    """The record of a task that comes from elsewhere, and the items of its steps.

    Of most times at which a name was forgotten nothing is known there, nor is it here: they are 0.
    """
    effects = effects or Effects()
    when = {name: [0] * count for name, count in sorted(effects.forgotten.items())}
    for step in steps:
        if step.forgotten_at is not None:
            when[step.name] = [*when.get(step.name, [0])[1:], step.forgotten_at]
    text = msgspec.json.encode(when).decode() if when else None
    stored = replace(stored, forgot=text, effect_key=effects.key)
    items = []
    for step in steps:
        if step.stands:
            stored, item = with_step(stored, step)
        else:
            item = step_item(stored.task_id, step, len(when[step.name]) - 1)
            stored = replace(stored, standing=stored.standing or 0)
        items.append(item)
    return stored, tuple(items)
