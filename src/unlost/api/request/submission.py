"""Reading a task that a client submits: JSON text in, a checked `Submission` out.

Single calls, the items of a batch and NDJSON lines all come through `read`.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from unlost import carried, jsontext
from unlost.api.problems import Malformed, TooLarge
from unlost.api.request import members, names
from unlost.api.request.members import Members
from unlost.carried import Carried
from unlost.task import (
    DEFAULT_TYPE,
    MAX_DELAY,
    MAX_PAYLOAD,
    MAX_PRIORITY,
    MAX_RETRIES,
    MAX_TASK,
    MAX_TIMEOUT,
    Submission,
)
from unlost.webhooks.target import Reach

BODY_LIMIT: Final = MAX_TASK
PAYLOAD_LIMIT: Final = MAX_PAYLOAD

_DEPTH: Final = jsontext.MAX_DEPTH + 1  # the body itself is one level around its payload
_SHORTEST_TIMEOUT: Final = 1e-6  # a positive number that a double would round to 0 stays positive
_DEFAULTS: Final[dict[str, object]] = {"type": DEFAULT_TYPE, "priority": 0, "delaySeconds": 0}

_PLAIN: Final = {"taskId", "payload"}

_priority = members.whole(-MAX_PRIORITY, MAX_PRIORITY)
_delay = members.number(0, MAX_DELAY)
_max_retries = members.whole(0, MAX_RETRIES)

_LEGIBLE_ID: Final = names.legible(members.task_id)
_LEGIBLE_TYPE: Final = names.legible(members.submitted_type)


def read(
    body: bytes,
    longest_timeout: float = MAX_TIMEOUT,
    callbacks: Reach | None = None,
    *,
    legible: bool = False,
) -> Submission:
    """The task that `body` asks for.  Raises TooLarge, Malformed or Invalid, in this order.

    `longest_timeout` (seconds) is the most that it may ask for, `callbacks` how far the URL may
    lead that it names (None: it may name none).  `legible` wants names that can be read from a
    decoded path.
    """
    if len(body) > BODY_LIMIT:
        raise TooLarge(f"the body of a task is at most {BODY_LIMIT} bytes")
    tree = parse(body)
    payload = read_payload(body) if isinstance(tree, dict) else b""
    if not legible and (plain := _plain(tree, payload)):
        return plain
    task = Members(tree)
    task_id = task.required("taskId", _LEGIBLE_ID if legible else members.task_id, "")
    task.required("payload", members.json_object, None)
    return _with_options(task, task_id, payload, longest_timeout, callbacks, legible=legible)


def _plain(tree: object, payload: bytes) -> Submission | None:
    """What most bodies ask for: an id and a payload, both good; None for any other."""
    if not isinstance(tree, dict) or tree.keys() != _PLAIN or not isinstance(tree["payload"], dict):
        return None
    try:
        task_id = members.task_id(tree["taskId"])
    except members.Wrong:
        return None
    digest = jsontext.digest(tree["payload"], _DEFAULTS)
    return Submission(task_id, jsontext.compact(payload), digest)


def parse(body: bytes) -> object:
    """A body's JSON in normal form.  Raises Malformed."""
    try:
        return jsontext.parse(body, max_depth=_DEPTH)
    except jsontext.NotJson as error:
        raise Malformed(f"the body is not JSON: {error}" if body else "the body is empty") from None


def read_payload(body: bytes) -> bytes:
    """The member `payload` as sent, of a body that was parsed.  Raises TooLarge."""
    payload = jsontext.raw_payload(body) or b""
    check_size(payload)
    return payload


def check_size(payload: bytes) -> None:
    """Raises TooLarge."""
    if len(payload) > PAYLOAD_LIMIT:
        raise TooLarge(f"a payload is at most {PAYLOAD_LIMIT} bytes")


def digest(payload: object, given: Mapping[str, object]) -> bytes:
    """What identifies a task by value: its payload, and the options that were given.

    One that was left out equals only the contract's own default, so that a changed setting of the
    service never makes a replay a conflict.
    """
    return jsontext.digest(payload, {**_DEFAULTS, **given})


def seconds(timeout: Decimal | None) -> float | None:
    """A timeout as it is kept."""
    return None if timeout is None else max(float(timeout), _SHORTEST_TIMEOUT)


def _with_options(
    task: Members,
    task_id: str,
    payload: bytes,
    longest_timeout: float,
    callbacks: Reach | None,
    *,
    legible: bool,
) -> Submission:
    check_type = _LEGIBLE_TYPE if legible else members.submitted_type
    task_type = task.optional("type", check_type, DEFAULT_TYPE)
    priority = task.optional("priority", _priority, 0)
    delay = task.optional("delaySeconds", _delay, None)
    run_at = task.optional("runAt", members.instant, None)
    max_retries = task.optional("maxRetries", _max_retries, None)
    timeouts = members.number(0, Decimal(str(longest_timeout)), above=True)
    timeout = task.optional("timeoutSeconds", timeouts, None)
    key = task.optional("key", members.key, None)
    callback_url = task.optional("callbackUrl", members.url(callbacks), None)
    if "delaySeconds" in task.tree and "runAt" in task.tree:
        task.fault("runAt", "cannot go with delaySeconds")
    task.finish()
    given = {name: value for name, value in task.tree.items() if name not in ("taskId", "payload")}
    if run_at is not None:
        given["runAt"] = run_at.key
    return Submission(
        task_id,
        jsontext.compact(payload),
        digest(task.tree["payload"], given),
        task_type,
        priority,
        0 if delay is None else members.micros(delay),
        None if run_at is None else run_at.micros,
        max_retries,
        seconds(timeout),
        key,
        carried=carried.write(Carried(callback_url)),
    )
