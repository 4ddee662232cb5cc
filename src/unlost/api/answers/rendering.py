"""Records as the API shows them.  Payloads and results go out as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType
from starlette.responses import Response

from unlost import carried
from unlost.api.answers.waits import waits
from unlost.api.openapi.schemas.acts import ActBody
from unlost.api.openapi.schemas.scheduled import ScheduledBody
from unlost.api.openapi.schemas.steps import StepBody
from unlost.api.openapi.schemas.tasks import AttemptBody, ErrorBody, ItemBody, KnownBody, TaskBody
from unlost.carried import Scheduled
from unlost.ledger.values import Submitted
from unlost.limits.why import Facts
from unlost.task import Act, Attempt, Micros, Record, Submission, TaskError
from unlost.times import rfc3339

JSON: Final = "application/json"
NO_SNIFFING: Final = {"X-Content-Type-Options": "nosniff"}

encode = msgspec.json.encode


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(encode(body), status, {**NO_SNIFFING, **(headers or {})}, JSON)


def fresh(new: Submission, stored: Submitted, max_retries: int) -> bytes:
    """A task that was accepted just now, as `encode(task(…))` would give it after a read."""
    submitted = rfc3339(stored.submitted_at)
    key = "" if new.key is None else f',"key":{_string(new.key)}'
    retries = max_retries if new.max_retries is None else new.max_retries
    also = "" if new.carried is None else _also(new.carried)
    return (
        f'{{"taskId":{_string(new.task_id)},"type":{_string(new.type)},"state":"queued",'
        f'"payload":{new.payload},"attemptCount":0,"maxRetries":{retries},"attempts":[],'
        f'"error":null,"result":null,"submittedAt":"{submitted}","updatedAt":"{submitted}",'
        f'"nextAttemptAt":"{rfc3339(stored.due_at)}","redriveCount":0{key}{also}}}'
    ).encode()


@lru_cache(maxsize=100)
def _also(text: str) -> str:
    """The last members of a task that carries this: who is to be told of its end, and the key that
    submitted it."""
    along = carried.read(text)
    url, by = along.callback_url, along.submitted_by
    also = "" if url is None else f',"callbackUrl":{_string(url)}'
    return also if by is None else f'{also},"submittedBy":{_string(by)}'


def _string(text: str) -> str:
    return encode(text).decode()


def known(record: Record) -> KnownBody:
    """A task as who may not read it learns that it is there."""
    submitted_at = rfc3339(record.submitted_at)
    return KnownBody(record.task_id, record.type, record.state, submitted_at)


def task(record: Record, max_retries: int, steps: Sequence[StepBody] = ()) -> TaskBody:
    """A task with everything, from a record with all of its parts."""
    along = carried.read(record.carried)
    return TaskBody(
        task_id=record.task_id,
        type=record.type,
        state=record.state,
        payload=_raw(record.payload),
        attempt_count=record.attempt_count,
        max_retries=max_retries if record.max_retries is None else record.max_retries,
        attempts=[_attempt(attempt) for attempt in record.attempts],
        error=_error(record.error),
        result=_raw(record.result),
        submitted_at=rfc3339(record.submitted_at),
        updated_at=rfc3339(record.updated_at),
        next_attempt_at=_time(record.due_at),
        redrive_count=record.redrive_count,
        excused_count=record.excused_count or UNSET,
        key=_given(record.key),
        purged_at=UNSET if record.purged_at is None else rfc3339(record.purged_at),
        history=[_act(act) for act in record.history] or UNSET,
        callback_url=along.callback_url or UNSET,
        submitted_by=_given(along.submitted_by),
        schedule=_schedule(along.schedule),
        steps=[*steps] or UNSET,
        parent=UNSET if along.parent is None else along.parent.id,
    )


def item(
    record: Record, include: frozenset[str], max_retries: int, facts: Facts | None = None
) -> ItemBody:
    """A task in a list, with those of its big members that `include` names, and why it waits where
    the `facts` about that are given."""
    traceback = "traceback" in include
    along = carried.read(record.carried)
    attempts = [_attempt(attempt, traceback=traceback) for attempt in record.attempts]
    return ItemBody(
        task_id=record.task_id,
        type=record.type,
        state=record.state,
        attempt_count=record.attempt_count,
        max_retries=max_retries if record.max_retries is None else record.max_retries,
        error=_error(record.error, traceback=traceback),
        submitted_at=rfc3339(record.submitted_at),
        updated_at=rfc3339(record.updated_at),
        next_attempt_at=_time(record.due_at),
        redrive_count=record.redrive_count,
        excused_count=record.excused_count or UNSET,
        key=_given(record.key),
        purged_at=UNSET if record.purged_at is None else rfc3339(record.purged_at),
        payload=_raw(record.payload) if "payload" in include else UNSET,
        result=_raw(record.result) if "result" in include else UNSET,
        attempts=attempts if "attempts" in include else UNSET,
        callback_url=along.callback_url or UNSET,
        submitted_by=_given(along.submitted_by),
        why=UNSET if facts is None else waits(facts),
        schedule=_schedule(along.schedule),
        parent=UNSET if along.parent is None else along.parent.id,
    )


def _schedule(by: Scheduled | None) -> ScheduledBody | UnsetType:
    return UNSET if by is None else ScheduledBody(by.id, rfc3339(by.time))


def _attempt(attempt: Attempt, *, traceback: bool = True) -> AttemptBody:
    following: str | UnsetType = UNSET
    if attempt.next_attempt_at is not None:
        following = rfc3339(attempt.next_attempt_at)
    return AttemptBody(
        number=attempt.number,
        started_at=rfc3339(attempt.started_at),
        finished_at=_time(attempt.finished_at),
        outcome=attempt.outcome,
        error=_error(attempt.error, traceback=traceback),
        next_attempt_at=following,
        excused=attempt.excused or UNSET,
    )


def _error(error: TaskError | None, *, traceback: bool = True) -> ErrorBody | None:
    if error is None:
        return None
    return ErrorBody(error.type, error.message, error.traceback if traceback else UNSET)


def _act(act: Act) -> ActBody:
    key, redrive = _given(act.api_key), _given(act.redrive)
    return ActBody(rfc3339(act.at), act.event, act.by, act.reason, key, redrive)


def _raw(text: str | None) -> Raw:
    return Raw(b"null" if text is None else text.encode())


def _given(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


def _time(at: Micros | None) -> str | None:
    return None if at is None else rfc3339(at)
