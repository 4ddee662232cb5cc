"""What has to be equal of what two ledgers answer, and what may differ."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from unlost.ledger.values import Entry, Group, Held


def by_task(held: Iterable[Held]) -> list[Held]:
    return sorted(held, key=lambda item: item.task_id)


def without_position(entry: Entry) -> Entry:
    """Positions may have gaps; only their order counts."""
    return replace(entry, position=0)


def without_sample(group: Group) -> Group:
    """Any message of the group will do."""
    return replace(group, sample="")
