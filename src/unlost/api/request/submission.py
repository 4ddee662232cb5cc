"""Reading a task that a client submits: JSON text in, a checked `Submission` out.

Single calls, the items of a batch and NDJSON lines all come through `read`.  Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

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
    found = jsonlines.parse_written(bodies, max_depth=_DEPTH)
    if found is None or set(map(type, found.trees)) != {dict}:
        return None
    try:
        ids = [tree["taskId"] for tree in found.trees]
        payloads = [tree["payload"] for tree in found.trees]
        types = [tree.get("type", DEFAULT_TYPE) for tree in found.trees]
        for name in set(types):
            checks.submitted_type(name)
    except (KeyError, TypeError, checks.Wrong):
        return None
    members = sum("type" in tree for tree in found.trees) + 2 * len(bodies)
    if (
        sum(map(len, found.trees)) > members
        or set(map(type, payloads)) != {dict}
        or not checks.are_task_ids(ids)
    ):
        return None
    texts = jsonlines.written([tree["payload"] for tree in found.plain])
    new = partial(Submission, carried=carried.by(by)) if by else Submission
    return list(map(new, ids, texts, digests(payloads, types), types))


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
