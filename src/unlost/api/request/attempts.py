"""Reading the calls of workers that claim by the API: JSON text in, checked values out.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Raw

from unlost import effects, jsonbatch, jsontext
from unlost.api.openapi.schemas.attempts import (
    CLAIM_ID,
    LONGEST_LEASE,
    MAX_ERROR_TYPE,
    MAX_WAIT,
    MOST_ATTEMPTS,
    MOST_TYPES,
    SHORTEST_LEASE,
    WORKER_ID,
)
from unlost.api.problems import Malformed
from unlost.api.request import submission
from unlost.api.request.members import Members
from unlost.asked import checks
from unlost.asked.checks import Wrong
from unlost.asked.members import Fault, WrongMembers
from unlost.asked.members import Members as Checked
from unlost.asked.submission import Rules, seconds, submission_of
from unlost.handlers.follow_ups import MOST, MOST_BYTES, id_of
from unlost.policy import Limits
from unlost.pull.outcomes import Asked, Error, Told
from unlost.task import MAX_DELAY, MAX_PAYLOAD, MAX_RETRIES, MAX_TIMEOUT, Micros, Submission

DEFAULT_LEASE: Final = Decimal(60)

_WORKER: Final = re.compile(WORKER_ID)
_CLAIM: Final = re.compile(CLAIM_ID)
_NO_TYPES: Final[tuple[str, ...]] = ()

_retries = checks.whole(0, MAX_RETRIES)
_timeouts = checks.number(0, MAX_TIMEOUT, above=True)
_wait = checks.number(0, MAX_WAIT)
_lease = checks.number(SHORTEST_LEASE, LONGEST_LEASE)
_after = checks.number(0, MAX_DELAY)
_error_type = checks.text(1, MAX_ERROR_TYPE)


class AskedClaim(msgspec.Struct, frozen=True):
    """A claim: the types with their handlers' limits, `wait` in seconds."""

    claim: str
    worker: str
    types: Mapping[str, Limits]
    limit: int
    lease: Micros
    wait: float


class AskedStep(msgspec.Struct, frozen=True):
    """A step to record: its result as JSON text."""

    token: str
    name: str
    result: str


class Item(msgspec.Struct, frozen=True):
    """An attempt to settle: its token, if it names one, and its text, in normal form as well where
    that is JSON; what is wrong with it else."""

    token: str | None
    raw: Raw
    tree: object = None
    fault: str = ""


def claim(raw: bytes, check_type: Callable[[object], str]) -> AskedClaim:
    """What is claimed.  Raises Malformed, Invalid."""
    body = Members(submission.parse(raw))
    name = body.required("claim", claim_id, "")
    who = body.required("worker", worker, "")
    types = body.required("types", _types(check_type), _NO_TYPES)
    options = body.optional("options", checks.json_object, {})
    limits = dict.fromkeys(types, Limits())
    if options:
        given = body.within("options")
        for of_type in options:
            given.optional(of_type, checks.json_object, {})
            if of_type not in limits:
                given.fault(of_type, "is none of the types")
            elif isinstance(options[of_type], dict):
                limits[of_type] = _limits(given.within(of_type))
    limit = body.optional("limit", checks.whole(1, MOST_ATTEMPTS), 1)
    lease = body.optional("leaseSeconds", _lease, DEFAULT_LEASE)
    wait = body.optional("wait", _wait, Decimal(0))
    body.finish()
    return AskedClaim(name, who, limits, limit, checks.micros(lease), float(wait))


def _limits(own: Checked) -> Limits:
    retries = own.optional("maxRetries", _retries, None)
    return Limits(retries, seconds(own.optional("timeoutSeconds", _timeouts, None)))


def extension(raw: bytes) -> tuple[Micros, list[str]]:
    """For how long a lease is prolonged, and the tokens that are asked about.  Raises Malformed,
    Invalid."""
    body = Members(submission.parse(raw))
    lease = body.required("leaseSeconds", _lease, DEFAULT_LEASE)
    tokens = body.required("tokens", _tokens, [])
    body.finish()
    return checks.micros(lease), tokens


def step(raw: bytes) -> AskedStep:
    """A step to record.  Raises Malformed, Invalid."""
    body = Members(submission.parse(raw))
    token = body.required("token", _token, "")
    name = body.required("name", _step_name, "")
    body.required("result", lambda value: value, None)
    body.finish()
    return AskedStep(token, name, jsontext.compact(_parts(raw).result))


def settlements(raw: bytes) -> list[Item]:
    """The attempts to settle, each read for itself: what one of them says, however wrong, is not
    said of the others.  Raises Malformed, Invalid."""
    try:
        texts = jsonbatch.split_tasks(raw, limit=MOST_ATTEMPTS, member="attempts")
    except jsontext.NotJson as error:
        raise Malformed(f"the body is not JSON: {error}" if raw else "the body is empty") from None
    except (jsonbatch.NotBatch, jsonbatch.TooManyTasks):
        body = Members(submission.parse(raw))
        body.required("attempts", _items, [])
        body.finish()
        raise
    return [_item(text) for text in texts]


def _item(raw: Raw) -> Item:
    if plain := _PLAIN_TEXT.fullmatch(raw):  # what most are: read at once
        token = plain[1].decode()
        return Item(token, raw, {"token": token, "outcome": "succeeded"})
    try:
        tree = jsontext.parse(bytes(raw), max_depth=_DEEPEST)
    except jsontext.NotJson as error:
        return Item(_token_in(raw), raw, fault=f"is not JSON: {error}")
    named = tree.get("token") if isinstance(tree, dict) else None
    return Item(named if isinstance(named, str) else None, raw, tree)


def _token_in(raw: Raw) -> str | None:
    """The token that a text names which `jsontext.parse` does not take."""
    try:
        token = _named(jsonbatch.without_surrogates(bytes(raw))).token
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return token if token and " " not in token else None


def asked(item: Item, secret: str, rules: Rules) -> Asked:
    """How an item settles its attempt, whose own `secret` makes the ids of its follow-ups.

    Raises WrongMembers, and Problem for a follow-up that no submit may be.
    """
    tree = item.tree
    plain = isinstance(tree, dict) and tree.keys() == _PLAIN and tree["outcome"] == "succeeded"
    if plain and item.token is not None:
        return _SUCCEEDED
    if item.fault:
        raise WrongMembers([Fault((), item.fault)])
    one = Checked(tree)
    one.required("token", _token, "")
    told = one.required("outcome", _outcome, Told.RELEASED)
    for name, outcomes in _ONLY.items():
        if name in one.tree and told not in outcomes:
            one.fault(name, f"goes with {' or '.join(outcomes)}")
    after = one.optional("retryAfterSeconds", _after, Decimal(0))
    excused = one.optional("excused", checks.flag, default=False)
    reject = one.optional("reject", checks.flag, default=False)
    if reject and (excused or "retryAfterSeconds" in one.tree):
        one.fault("reject", "goes with neither excused nor retryAfterSeconds")
    error = _error(one)
    one.optional("result", lambda value: value, None)
    follow = one.optional("submit", _follow_ups, [])
    one.finish()
    parts = _parts(item.raw)
    _check_depth("result", parts.result, jsontext.MAX_DEPTH)
    for task in parts.submit:
        _check_depth("submit", task, jsontext.MAX_DEPTH + 1)  # the task is one level around it
    result = None if one.tree.get("result") is None else jsontext.compact(parts.result)
    submit = _submissions(follow, parts.submit, secret, rules)
    return Asked(told, result, submit, error, float(after), excused, reject)


_PLAIN: Final = {"token", "outcome"}
_PLAIN_TEXT: Final = re.compile(rb'\{"token":"([A-Za-z0-9_-]+)","outcome":"succeeded"\}')
_DEEPEST: Final = jsontext.MAX_DEPTH + 3  # a payload, in a task, in the array, in the item
_SUCCEEDED: Final = Asked(Told.SUCCEEDED)
_ONLY: Final[Mapping[str, tuple[Told, ...]]] = {
    "result": (Told.SUCCEEDED,),
    "submit": (Told.SUCCEEDED,),
    "error": (Told.FAILED,),
    "excused": (Told.FAILED,),
    "reject": (Told.FAILED,),
    "retryAfterSeconds": (Told.FAILED, Told.RELEASED),
}
"""With which outcomes a member goes."""


def _check_depth(name: str, raw: Raw, levels: int) -> None:
    if jsontext.is_deeper(bytes(raw), levels):
        raise WrongMembers([Fault((name,), f"is nested more than {levels} levels deep")])


def _error(one: Checked) -> Error:
    if "error" not in one.tree:
        return Error()
    if not isinstance(one.optional("error", checks.json_object, None), dict):
        return Error()
    error = one.within("error")
    return Error(
        error.optional("type", _error_type, None),
        error.optional("message", _text, ""),
        error.optional("traceback", _text, None),
    )


def _submissions(
    trees: list[Any], texts: list[Raw], secret: str, rules: Rules
) -> tuple[Submission, ...]:
    """The tasks that follow; they are accepted or refused together."""
    found, size = [], 0
    for number, (tree, text) in enumerate(zip(trees, texts, strict=True)):
        payload = jsontext.raw_payload(bytes(text)) if isinstance(tree, dict) else b""
        size += len(payload or b"")
        named = tree
        if isinstance(tree, dict) and "taskId" not in tree:
            named = {**tree, "taskId": id_of(secret, number)}
        task = Checked(named)
        if len(payload or b"") > MAX_PAYLOAD:
            task.fault("payload", f"is at most {MAX_PAYLOAD} bytes")
        if size > MOST_BYTES:
            task.fault("payload", f"with those before it is at most {MOST_BYTES} bytes")
        found.append(submission_of(task, payload or b"", rules))
    return tuple(found)


class _Named(msgspec.Struct):
    token: str | None = None


class _Parts(msgspec.Struct):
    result: Raw = Raw(b"null")
    submit: list[Raw] = []


_named = msgspec.json.Decoder(_Named).decode
_parts = msgspec.json.Decoder(_Parts).decode


def claim_id(value: object) -> str:
    """What a client calls a claim."""
    if not isinstance(value, str) or not _CLAIM.fullmatch(value):
        raise Wrong("must be a string of 16 to 100 of A-Z a-z 0-9 . _ - :")
    return value


def worker(value: object) -> str:
    """What a worker calls itself."""
    if not isinstance(value, str) or not _WORKER.fullmatch(value):
        raise Wrong("must be a string of 1 to 100 of A-Z a-z 0-9 . _ - :")
    return value


def _types(check_type: Callable[[object], str]) -> Callable[[object], tuple[str, ...]]:
    def check(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_TYPES:
            raise Wrong(f"must be an array of 1 to {MOST_TYPES} types")
        try:
            return tuple(dict.fromkeys(map(check_type, value)))
        except Wrong as wrong:
            raise Wrong(f"has a type that {wrong}") from None

    return check


def _items(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > MOST_ATTEMPTS:
        raise Wrong(f"must be an array of at most {MOST_ATTEMPTS} attempts")
    return value


def _tokens(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST_ATTEMPTS:
        raise Wrong(f"must be an array of at most {MOST_ATTEMPTS} tokens")
    return [_token(one) for one in value]


def _follow_ups(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST:
        raise Wrong(f"must be an array of at most {MOST} tasks")
    return value


def _token(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong("must be a token, a string")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong("must be a string")
    return value


def _outcome(value: object) -> Told:
    try:
        return Told(value)  # type: ignore[arg-type]
    except ValueError:
        raise Wrong(f"must be one of {', '.join(Told)}") from None


def _step_name(value: object) -> str:
    if not effects.is_name(value):
        raise Wrong("must be a string of 1 to 100 of A-Z a-z 0-9 . _ - :")
    return str(value)
