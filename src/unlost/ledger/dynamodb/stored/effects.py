"""Steps as items and back, and what the record says of them.  Pure.

A redrive that forgets a step writes the record alone: the step's item says how often its name had
been forgotten when it was recorded (`of`), and the record how often each name was by now, and
since when (`forgot`, JSON).  So a step stands while the two agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from unlost.effects import Effects, Forget, Step, forgetting, is_forgotten
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.task import Micros

Times = dict[str, tuple[int, Micros]]
"""How often redrives forgot each name, and when first since its step was made last."""

NEVER: Final = (0, 0)

_decode = msgspec.json.Decoder(Times).decode


def times(stored: Stored) -> Times:
    """What redrives of this task forgot."""
    return {} if stored.forgot is None else _decode(stored.forgot)


def effects_of(stored: Stored) -> Effects | None:
    """What goes with the task's attempts."""
    if stored.forgot is None and stored.effect_key is None:
        return None
    forgotten = {name: count for name, (count, _) in times(stored).items()}
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
    count, since = when.get(name, NEVER)
    return Step(
        name,
        item["attempt"],
        item["recorded_at"],
        item.get("kept", False),
        item.get("result"),
        since if count > of else None,
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
    return new, step_item(stored.task_id, step, times(stored).get(step.name, NEVER)[0])


class Forgetting(msgspec.Struct, frozen=True):
    """What a redrive forgets, with the items of those steps."""

    forget: Forget = ()
    items: tuple[Item, ...] = ()


def forgot(stored: Stored, what: Forgetting, at: Micros) -> Stored:
    """The record once a redrive has forgotten these.  Raises TooManyForgotten."""
    before, own = times(stored), effects_of(stored)
    effects = forgetting(own, map(name_of, what.items), what.forget)
    if effects is None or effects == own:
        return stored
    steps = (step_of(item, before) for item in what.items)
    gone = [step for step in steps if step.stands and is_forgotten(step.name, what.forget)]
    since = {name: first for name, (_, first) in before.items()}
    since |= {step.name: at for step in gone}
    after = {name: (count, since.get(name, at)) for name, count in effects.forgotten.items()}
    new = replace(stored, forgot=msgspec.json.encode(after).decode())
    if stored.standing is None:
        return new
    size = (stored.step_bytes or 0) - sum(map(size_of, gone))
    return replace(new, standing=stored.standing - len(gone), step_bytes=size)


def restored(
    stored: Stored, effects: Effects | None, steps: Iterable[Step]
) -> tuple[Stored, tuple[Item, ...]]:
    """The record of a task that comes from elsewhere, and the items of its steps.

    When a name without a record was forgotten is not known there, nor here: it is 0.
    """
    effects = effects or Effects()
    when = {name: (count, 0) for name, count in sorted(effects.forgotten.items())}
    for step in steps:
        if step.forgotten_at is not None:
            when[step.name] = (when.get(step.name, (1, 0))[0], step.forgotten_at)
    text = msgspec.json.encode(when).decode() if when else None
    stored = replace(stored, forgot=text, effect_key=effects.key)
    items = []
    for step in steps:
        if step.stands:
            stored, item = with_step(stored, step)
        else:
            item = step_item(stored.task_id, step, when[step.name][0] - 1)
            stored = replace(stored, standing=stored.standing or 0)
        items.append(item)
    return stored, tuple(items)
