"""Reading which dead letters somebody asks to be redriven, and how."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final
from uuid import uuid4

import msgspec
from msgspec.structs import replace
from starlette.requests import Request

from unlost import jsontext
from unlost.access.caller import Caller
from unlost.api.openapi.schemas.redrives import (
    FASTEST_RATE,
    MOST,
    MOST_CANARIES,
    MOST_NAMED,
    SLOWEST_RATE,
)
from unlost.api.openapi.schemas.tasks import MAX_BATCH
from unlost.api.problems import NotFound
from unlost.api.request import forgetting, members, submission
from unlost.api.request.members import Members
from unlost.asked import checks
from unlost.asked.checks import Wrong
from unlost.redrive import DEFAULT_CANARY, DEFAULT_PATIENCE, DEFAULT_TOLERATE, Named, Redrive
from unlost.task import MAX_DELAY, MAX_ID, MAX_TYPE, SECOND

_SELECTORS: Final = ("fingerprint", "type", "taskIds", "all")
_rate = checks.number(Decimal(str(SLOWEST_RATE)), FASTEST_RATE)
_count = checks.whole(0, MOST)
UNKNOWN: Final = "no redrive has this id"
Check = Callable[[object], str]
"""How a redrive's id is checked, which stands in a path."""

_patience = checks.number(0, MAX_DELAY, above=True)


class Asked(msgspec.Struct, frozen=True):
    """What was asked for: the redrive, and what it names."""

    redrive: Redrive
    named: Named


def redrive_id_of(request: Request) -> str:
    """The id in the path.  Raises NotFound for one that no redrive can have."""
    try:
        return members.own_id(request.path_params["redriveId"])
    except Wrong:
        raise NotFound(UNKNOWN) from None


def read(raw: bytes, caller: Caller, check_id: Check) -> Asked:
    """A redrive with a canary, as `POST /redrives` takes it.  Raises Invalid and what reading
    JSON does."""
    body = Members(submission.parse(raw))
    redrive, ids = _selection(body, MOST_NAMED, caller, check_id)
    redrive = replace(
        redrive,
        canary=body.optional("canary", checks.whole(0, MOST_CANARIES), DEFAULT_CANARY),
        tolerate=body.optional("tolerate", members.or_null(_count), DEFAULT_TOLERATE),
        patience=body.optional(
            "patience", lambda one: checks.micros(_patience(one)), DEFAULT_PATIENCE
        ),
    )
    edited = body.optional("payload", checks.json_object, None) is not None
    if "payload" in body.tree and (ids is None or _different(body.tree["taskIds"]) != 1):
        body.fault("payload", "needs taskIds with one id")
    forget = body.optional("forget", forgetting.names, None)
    body.finish()
    payload = jsontext.compact(submission.read_payload(raw)) if edited and ids else None
    named = Named(ids, payload, forget or (), payload is not None and forget is None)
    return _asked(replace(redrive, forget=named.forget), named, body.tree.get("payload"))


def read_many(raw: bytes, caller: Caller, check_id: Check) -> Asked:
    """A redrive that nothing stops, as `POST /dead-letters/redrive` takes it.  Raises as `read`."""
    body = Members(submission.parse(raw))
    redrive, ids = _selection(body, MAX_BATCH, caller, check_id)
    body.finish()
    return _asked(replace(redrive, canary=0, tolerate=None), Named(ids), None)


def _selection(
    body: Members, most_named: int, caller: Caller, check_id: Check
) -> tuple[Redrive, tuple[str, ...] | None]:
    """Which letters, at what rate, by whom and why."""
    ids = body.optional("taskIds", _task_ids(most_named), None)
    body.optional("all", _true, None)
    if not any(selector in body.tree for selector in _SELECTORS):
        body.fault(None, f"needs at least one of {', '.join(_SELECTORS)}")
    rate = body.optional("ratePerSecond", _rate, None)
    redrive = Redrive(
        id=body.optional("id", check_id, None) or str(uuid4()),
        fingerprint=body.optional("fingerprint", checks.text(1, MAX_ID), None),
        type=body.optional("type", checks.text(1, MAX_TYPE), None),
        types=caller.types,
        named=ids is not None,
        limit=body.optional("limit", checks.whole(1, MOST), None),
        interval=0 if rate is None else round(SECOND / rate),
        by=body.optional("by", members.reason, None),
        reason=body.optional("reason", members.reason, None),
        api_key=caller.name,
    )
    return redrive, ids


def _asked(redrive: Redrive, named: Named, payload: object) -> Asked:
    """With a digest of all that was asked for, by value; who asks is not part of it."""
    asked = [
        redrive.fingerprint, redrive.type, _list(redrive.types), _list(named.task_ids),
        redrive.limit, redrive.interval, redrive.canary, redrive.tolerate, redrive.patience,
        redrive.by, redrive.reason,
    ]  # fmt: skip
    if named.forget:
        asked.append([*named.forget])
    digest = jsontext.digest(payload, asked).hex()
    return Asked(replace(redrive, digest=digest), named)


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _task_ids(most: int) -> Callable[[object], tuple[str, ...]]:
    """Ids of dead letters.  What no task can be named by is passed over, as what none is."""

    def check(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise Wrong(f"must be an array of at most {most} strings")
        if not all(isinstance(item, str) for item in value):
            raise Wrong("must be an array of strings")
        return tuple(item for item in value if _may_be(item))

    return check


def _different(ids: object) -> int:
    """How many ids these are, whether a task can have them or not."""
    return len(set(ids)) if isinstance(ids, list) else 0


def _may_be(task_id: str) -> bool:
    try:
        checks.task_id(task_id)
    except Wrong:
        return False
    return True


def _true(value: object) -> bool:
    if value is not True:
        raise Wrong("must be true, or be left out")
    return True
