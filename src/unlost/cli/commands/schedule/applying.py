"""What `unlost schedule apply` does: the schedules of a file are set, all or none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from unlost.cli.client.connection import Refused, Service, read
from unlost.cli.commands.schedule.calls import every, path
from unlost.cli.failures import Failed
from unlost.cli.show.schedules import ScheduleSeen
from unlost.cli.text import one_line
from unlost.schedule.schedule import MOST

_MOST_TOLD = 10


class Applied(msgspec.Struct):
    """What became of them, by id; `unchanged` were like that already."""

    created: list[str] = []
    changed: list[str] = []
    unchanged: list[str] = []
    deleted: list[str] = []
    warnings: dict[str, list[str]] = {}


def check_room(bodies: Mapping[str, bytes], before: Collection[str], extra: list[str]) -> None:
    """Raises Failed where there would be more schedules than a service keeps."""
    count = len({*before, *bodies}) - len(extra)
    if count > MOST:
        raise Failed(f"nothing was set: there would be {count} schedules, and {MOST} are the most")


def check(service: Service, bodies: Mapping[str, bytes]) -> None:
    """Ask for all of them without setting one.  Raises Failed with what is refused."""
    refusals = []
    for name, body in bodies.items():
        try:
            service.put(path(name), body, {"dryRun": "true"})
        except Refused as refusal:
            if refusal.status in {401, 403, 404, 503}:
                raise  # is about all of them
            refusals.append(f"{name}: {refusal}")
    if refusals:
        told = "; ".join(map(one_line, refusals[:_MOST_TOLD]))
        more = len(refusals) - _MOST_TOLD
        rest = f"; and {more} more" if more > 0 else ""
        raise Failed(f"nothing was set: {told}{rest}")


def known(service: Service) -> dict[str, datetime]:
    """When each of the schedules that are there was changed last."""
    return {one.id: one.updated_at for one in every(service)}


def apply(
    service: Service,
    bodies: Mapping[str, bytes],
    before: Mapping[str, datetime],
    extra: list[str],
) -> Applied:
    """Delete what is `extra`, which makes room, and set them.  `before` is what was there."""
    done = Applied()
    for name in extra:
        service.delete(path(name))
        done.deleted.append(name)
    for name, body in bodies.items():
        seen = read(service.put(path(name), body), ScheduleSeen)
        if name not in before:
            done.created.append(name)
        elif seen.updated_at == before[name]:
            done.unchanged.append(name)
            continue
        else:
            done.changed.append(name)
        if seen.warnings:
            done.warnings[name] = [one.detail for one in seen.warnings]
    return done
