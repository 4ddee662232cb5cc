"""An id that nobody knows: what it may have been meant to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from unlost.cli.client.answers import Page, seen
from unlost.cli.client.connection import Refused, Service, read
from unlost.cli.failures import Failed
from unlost.cli.text import cell

LOOKED_AT = 200
"""Ids that begin alike and are looked at."""


@contextmanager
def explained(service: Service, task_id: str) -> Iterator[None]:
    """Add to a refusal that says that there is no such task which ids are like it."""
    try:
        yield
    except Refused as refusal:
        if refusal.status != 404:
            raise
        raise Refused(f"{refusal}{_advice(service, task_id)}", 404) from refusal


def _advice(service: Service, task_id: str) -> str:
    """What to do about it, as the end of a message; nothing to who may not list tasks."""
    like = _like(service, task_id)
    if like is None:
        return ""
    if like:
        return f"; did you mean {' or '.join(map(cell, like))}?"
    return "; `unlost tasks --id-prefix` finds ids by how they begin"


def _like(service: Service, task_id: str) -> list[str] | None:
    """Ids that begin alike and are nearly the same; None where they cannot be listed."""
    begin = task_id[: (len(task_id) + 1) // 2]
    query: dict[str, str | int] = {"idPrefix": begin, "limit": LOOKED_AT}
    try:
        found = seen(read(service.get("/tasks", query), Page).tasks)
    except Failed:
        return None
    return get_close_matches(task_id, [task.task_id for task in found], 3, 0.8)
