"""Reading a schedule that a client sets: JSON text in, a checked plan out.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from unlost import jsontext
from unlost.api.problems import NotFound
from unlost.api.request import members, submission
from unlost.api.request.members import Members
from unlost.asked import checks
from unlost.asked import submission as rules
from unlost.asked.checks import Wrong
from unlost.schedule.schedule import MAX_GRACE, Missed, Overlap, Plan
from unlost.task import MAX_PRIORITY, MAX_RETRIES, MAX_TIMEOUT, Micros
from unlost.webhooks.target import Reach

E = TypeVar("E", Missed, Overlap)

_TASK: Final = ("type", "priority", "maxRetries", "timeoutSeconds", "key", "callbackUrl")
"""The members that are options of the task that it submits."""

_TIMES: Final = ("cron", "every", "timezone")

_priority = checks.whole(-MAX_PRIORITY, MAX_PRIORITY)
_max_retries = checks.whole(0, MAX_RETRIES)
_timeouts = checks.number(0, MAX_TIMEOUT, above=True)
_grace = checks.number(0, MAX_GRACE)


class Asked(msgspec.Struct, frozen=True):
    """What a body asks for; `plan` has the payload as it was sent."""

    plan: Plan
    paused: bool | None


class Bounds(msgspec.Struct, frozen=True):
    """The bounds of a home (see `Frame`): how far a callback may lead, how a type is checked, and
    the grace (seconds) of a schedule that says none."""

    callbacks: Reach | None
    check_type: Callable[[object], str]
    grace: int


def schedule_id_of(request: Request) -> str:
    """The id in the path.  Raises NotFound for one that no schedule can have."""
    try:
        return members.own_id(request.path_params["scheduleId"])
    except Wrong:
        raise NotFound("no schedule has this id") from None


def read(
    body: bytes, bounds: Bounds, restored: Callable[[str], str], now: Micros, set_by: str | None
) -> Asked:
    """The schedule that `body` asks for.  Raises TooLarge, Malformed or Invalid, in this order.

    `restored` puts values back that were masked when the payload was shown.
    """
    asked = Members(submission.parse(body))
    payload = submission.read_payload(body)
    asked.required("payload", checks.json_object, None)
    task_type = asked.required("type", bounds.check_type, "")
    priority = asked.optional("priority", _priority, 0)
    max_retries = asked.optional("maxRetries", _max_retries, None)
    timeout = asked.optional("timeoutSeconds", _timeouts, None)
    key = asked.optional("key", checks.key, None)
    callback_url = asked.optional("callbackUrl", checks.url(bounds.callbacks), None)
    missed = asked.optional("missed", _one_of(Missed), Missed.LAST)
    grace = asked.optional("graceSeconds", _grace, Decimal(bounds.grace))
    overlap = asked.optional("overlap", _one_of(Overlap), Overlap.ALLOW)
    paused = asked.optional("paused", checks.flag, None)
    if missed is Missed.ALL and overlap is Overlap.SKIP:
        asked.fault("overlap", "cannot be skip where missed is all")
    timezone = _check_times(asked, now)
    asked.finish()
    text = restored(jsontext.compact(payload))
    submission.check_size(text.encode())
    given = {name: value for name, value in asked.tree.items() if name in _TASK}
    plan = Plan(
        type=task_type,
        payload=text,
        digest=rules.digest(submission.parse(text.encode()), given),
        cron=_text(asked.tree.get("cron")),
        every=_whole(asked.tree.get("every")),
        timezone=timezone,
        priority=priority,
        max_retries=max_retries,
        timeout=rules.seconds(timeout),
        key=key,
        callback_url=callback_url,
        missed=missed,
        grace=checks.micros(grace),
        overlap=overlap,
        set_by=set_by,
    )
    return Asked(plan, paused)


def _check_times(asked: Members, now: Micros) -> str:
    """The zone; what is wrong with it and with the times is noted."""
    from unlost.schedule.times import BadTimes, parse  # noqa: PLC0415 - who sets none pays nothing

    for name in _TIMES:
        asked.optional(name, lambda value: value, None)
    try:
        return parse(asked.tree, now).timezone
    except BadTimes as wrong:
        for fault in wrong.faults:
            asked.fault(fault.member, fault.reason)
        return ""


def _one_of(kind: type[E]) -> Callable[[object], E]:
    def check(value: object) -> E:
        if not isinstance(value, str) or value not in list(kind):
            raise Wrong(f"must be one of {', '.join(kind)}")
        return kind(value)

    return check


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
