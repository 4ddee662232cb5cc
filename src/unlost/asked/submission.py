"""The task that the members of a submit ask for, within a home's bounds.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec

from unlost import carried, jsonlines, jsontext
from unlost.asked import checks, names
from unlost.asked.members import Members
from unlost.carried import Carried
from unlost.task import (
    DEFAULT_TYPE,
    MAX_DELAY,
    MAX_PRIORITY,
    MAX_RETRIES,
    MAX_TIMEOUT,
    Submission,
)
from unlost.webhooks.target import Reach

_SHORTEST_TIMEOUT: Final = 1e-6  # a positive number that a double would round to 0 stays positive
_DEFAULTS: Final[dict[str, object]] = {"type": DEFAULT_TYPE, "priority": 0, "delaySeconds": 0}
_TELLS: Final = frozenset({"taskId", "payload"})
"""Members that are no options."""

_priority = checks.whole(-MAX_PRIORITY, MAX_PRIORITY)
_delay = checks.number(0, MAX_DELAY)
_max_retries = checks.whole(0, MAX_RETRIES)

_LEGIBLE_ID: Final = names.legible(checks.task_id)
_LEGIBLE_TYPE: Final = names.legible(checks.submitted_type)


class Rules(msgspec.Struct, frozen=True):
    """What a home sets for submits.

    `longest_timeout` (seconds) is the most that one may ask for, `callbacks` how far the URL may
    lead that it names (None: it may name none).  `legible` wants names that can be read from a
    decoded path.
    """

    longest_timeout: float = MAX_TIMEOUT
    callbacks: Reach | None = None
    legible: bool = False


OWN: Final = Rules()
"""The contract's."""


def submission_of(
    task: Members, payload: bytes, rules: Rules, submitted_by: str | None = None
) -> Submission:
    """The task of these members; `payload` is that member as it was written, `submitted_by` the
    key by which it comes.

    Raises the refusal of `task`.
    """
    task_id = task.required("taskId", _LEGIBLE_ID if rules.legible else checks.task_id, "")
    task.required("payload", checks.json_object, None)
    check_type = _LEGIBLE_TYPE if rules.legible else checks.submitted_type
    task_type = task.optional("type", check_type, DEFAULT_TYPE)
    priority = task.optional("priority", _priority, 0)
    delay = task.optional("delaySeconds", _delay, None)
    run_at = task.optional("runAt", checks.instant, None)
    max_retries = task.optional("maxRetries", _max_retries, None)
    timeouts = checks.number(0, Decimal(str(rules.longest_timeout)), above=True)
    timeout = task.optional("timeoutSeconds", timeouts, None)
    key = task.optional("key", checks.key, None)
    callback_url = task.optional("callbackUrl", checks.url(rules.callbacks), None)
    if "delaySeconds" in task.tree and "runAt" in task.tree:
        task.fault("runAt", "cannot go with delaySeconds")
    task.finish()
    given = {name: value for name, value in task.tree.items() if name not in _TELLS}
    if run_at is not None:
        given["runAt"] = run_at.key
    return Submission(
        task_id,
        jsontext.compact(payload),
        digest(task.tree["payload"], given),
        task_type,
        priority,
        0 if delay is None else checks.micros(delay),
        None if run_at is None else run_at.micros,
        max_retries,
        seconds(timeout),
        key,
        carried=carried.write(Carried(callback_url, submitted_by=submitted_by)),
    )


def digest(payload: object, given: Mapping[str, object]) -> bytes:
    """What identifies a task by value: its payload, and the options that were given.

    One that was left out equals only the contract's own default, so that a changed setting of the
    service never makes a replay a conflict.
    """
    return jsontext.digest(payload, {**_DEFAULTS, **given} if given else _DEFAULTS)


def digests(payloads: Sequence[object], types: Sequence[str]) -> list[bytes]:
    """The same of many tasks for which nothing but a type was given, or not even that."""
    rest = {name: _with_type(name) for name in set(types)}
    texts = jsonlines.canonical(payloads)
    return [
        sha256(b"[" + text + rest[name]).digest() for text, name in zip(texts, types, strict=True)
    ]


@lru_cache(maxsize=1_000)
def _with_type(name: str) -> bytes:
    """What follows a payload in the text that identifies its task."""
    [options] = jsonlines.canonical([{**_DEFAULTS, "type": name}])
    return b",%b]" % options


def seconds(timeout: Decimal | None) -> float | None:
    """A timeout as it is kept."""
    return None if timeout is None else max(float(timeout), _SHORTEST_TIMEOUT)
