"""Reading a task that a client submits: JSON text in, a checked `Submission` out.

Single calls, the items of a batch and NDJSON lines all come through `read`.  Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from unlost import carried, jsonlines, jsontext
from unlost.api.problems import Malformed, TooLarge
from unlost.api.request.members import Members
from unlost.asked import checks
from unlost.asked.submission import OWN, Rules, digest, digests, submission_of
from unlost.task import DEFAULT_TYPE, MAX_PAYLOAD, MAX_TASK, Submission

BODY_LIMIT: Final = MAX_TASK
PAYLOAD_LIMIT: Final = MAX_PAYLOAD

_DEPTH: Final = jsontext.MAX_DEPTH + 1  # the body itself is one level around its payload
_PLAIN: Final = {"taskId", "payload"}
_MEMBERS: Final[dict[str, Any]] = {
    "taskId": ("taskId", str),
    "type": ("type", str | UnsetType, UNSET),
    "payload": ("payload", dict),
}


def read(body: bytes, rules: Rules = OWN, by: str | None = None) -> Submission:
    """The task that `body` asks for, submitted `by` the key of this name.

    Raises TooLarge, Malformed or Invalid, in this order.
    """
    if len(body) > BODY_LIMIT:
        raise TooLarge(f"the body of a task is at most {BODY_LIMIT} bytes")
    found = jsontext.parse_written(body, max_depth=_DEPTH)
    tree = found and found[0]
    if found and isinstance(tree, dict) and "payload" in tree and len(body) <= PAYLOAD_LIMIT:
        payload = jsontext.written(found[1]["payload"])
        if not rules.legible and (usual := _plain(tree, payload, by)):
            return usual
    else:
        tree = parse(body)
        payload = read_payload(body) if isinstance(tree, dict) else b""
    return submission_of(Members(tree), payload, rules, by)


def _plain(tree: dict[str, object], payload: bytes, by: str | None) -> Submission | None:
    """What most bodies ask for: an id and a payload, both good; None for any other."""
    if tree.keys() != _PLAIN or not isinstance(tree["payload"], dict):
        return None
    try:
        task_id = checks.task_id(tree["taskId"])
    except checks.Wrong:
        return None
    return Submission(
        task_id, payload.decode(), digest(tree["payload"], {}), carried=carried.by(by)
    )


def read_plain(
    bodies: Sequence[bytes], rules: Rules = OWN, by: str | None = None
) -> list[Submission] | None:
    """What `read` gives of each of these bodies, in less time, where all are as most are: short,
    and with nothing but an id, a type perhaps, and a payload, all of them good.  None for any
    others, which are to be read one by one.
    """
    if rules.legible or sum(map(len, bodies)) > PAYLOAD_LIMIT:
        return None
    shape = _shape(bodies[0])
    found = shape and jsonlines.parse_written(bodies, max_depth=_DEPTH, kind=shape)
    if not found:
        return None
    ids = [tree.taskId for tree in found.trees]
    types = [tree.type for tree in found.trees]
    if UNSET in types:
        types = [DEFAULT_TYPE if name is UNSET else name for name in types]
    try:
        for name in set(types):
            checks.submitted_type(name)
    except checks.Wrong:
        return None
    if not checks.are_task_ids(ids):
        return None
    payloads = [tree.payload for tree in found.trees]
    texts = jsonlines.written([tree.payload for tree in found.plain])
    new = partial(Submission, carried=carried.by(by)) if by else Submission
    return list(map(new, ids, texts, digests(payloads, types), types))


def _shape(body: bytes) -> Any | None:
    """What bodies of these members in this order are read as, with a type or without; None where
    there are others."""
    try:
        first = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(first, dict) or not _PLAIN <= first.keys() <= {*_PLAIN, "type"}:
        return None
    return _shaped(tuple(first))


@cache
def _shaped(names: tuple[str, ...]) -> Any:
    if "type" not in names:  # it may yet come, and most write it there
        names = (names[0], "type", *names[1:])
    members = [_MEMBERS[name] for name in names]
    return msgspec.defstruct("Plain", members, kw_only=True, forbid_unknown_fields=True, gc=False)


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
