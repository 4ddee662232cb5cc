"""Whatever bytes come: they are read as the standard library's JSON and the contract say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from tests.api import oracle
from tests.api.made_up import (
    MEMBERS,
    bodies,
    damaged,
    ids,
    members,
    payloads,
    spelled,
    tasks,
    values,
    words,
)
from unlost import jsonbatch, jsontext
from unlost.api.problems import Problem, TooLarge
from unlost.api.request import bodies as reading
from unlost.api.request import submission
from unlost.api.request.leaving import ClientGone

thorough = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=300,
    suppress_health_check=list(HealthCheck),
)


plain_bodies = spelled(
    st.fixed_dictionaries({"taskId": ids, "payload": payloads}, optional={"type": words})
)


def status(body: bytes) -> int:
    """What a first submit of this is answered."""
    try:
        submission.read(body)
    except Problem as problem:
        return problem.status
    return 202


@given(bodies)
@example(b'{"taskId":"t","payload":{"a":' + b"[" * 127 + b"]" * 127 + b"}}")
@example(b'{"taskId":"t","payload":{"a":' + b"[" * 128 + b"]" * 128 + b"}}")
@example(b'{"taskId":"t","payload":{},"priority":' + b"[" * 129 + b"]" * 129 + b"}")
@thorough
def test_a_task_is_taken_or_refused_as_the_contract_says(body: bytes) -> None:
    assert status(body) == oracle.judge(body)[0]


@given(st.lists(bodies | plain_bodies, min_size=1, max_size=4))
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"u","payload":{},"type":"unlost.webhook"}'])
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"..","payload":{}}'])
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"","payload":{}}'])
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"a\\nb","payload":{}}'])
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"' + b"x" * 256 + b'","payload":{}}'])
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"t","payload":[]}'])
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"t","payload":{},"type":"a\\n"}'])
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"t","payload":{},"type":1}'])
@example([b'{"taskId":"t","payload":{}}', b'{"taskId":"t","payload":{},"tipe":"a"}'])
@example([b'{"taskId":"t","type":"a","payload":{}}', b'{"taskId":"t","payload":{"a":0.5}}'])
@thorough
def test_bodies_that_are_read_together_are_the_tasks_that_each_is_alone(
    several: list[bytes],
) -> None:
    for by in (None, "key"):
        together = submission.read_plain(several, by=by)
        if together is not None:
            assert together == [submission.read(body, by=by) for body in several]


SENT = {
    "taskId": '"a"',
    "type": '"default"',
    "payload": '{"n": 1.5, "of": [1, 2, {"x": null}], "to": "\u00e9"}',
}


@pytest.mark.parametrize("order", list(permutations(SENT)))
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_what_most_clients_send_is_read_together(
    order: Sequence[str], separators: tuple[str, str]
) -> None:
    comma, colon = separators
    members = [f'"{name}"{colon}{SENT[name]}' for name in order]
    without_type = [member for member in members if not member.startswith('"type"')]
    for several in ([members, without_type], [without_type] * 2):
        bodies = [f"{{{comma.join(one)}}}".encode() for one in several]
        assert submission.read_plain(bodies) == [submission.read(body) for body in bodies]


alike = st.tuples(members(ids), members(ids), st.sets(st.sampled_from(MEMBERS), max_size=2)).map(
    lambda drawn: (drawn[0], drawn[0] | {name: drawn[1].get(name) for name in drawn[2]})
)


@given(alike.flatmap(lambda two: st.tuples(*(spelled(st.just(one)) for one in two))))
@example((b'{"taskId":"t","payload":{}}', b'{"taskId":"t","payload":{},"priority":0.0}'))
@example((b'{"taskId":"t","payload":{"a":1}}', b'{"taskId":"t","payload":{"a":true}}'))
@thorough
def test_digests_are_equal_where_payloads_and_options_are(bodies: tuple[bytes, bytes]) -> None:
    judged = [oracle.judge(body) for body in bodies]
    if all(status == 202 for status, _ in judged):
        first, second = (submission.read(body).digest for body in bodies)
        one, other = (key[1:] for _, key in judged)
        assert (first == second) == (one == other)


@given(tasks())
@thorough
def test_a_payload_is_stored_as_it_was_sent(body: bytes) -> None:
    if status(body) == 202:
        stored = json.loads(submission.read(body).payload, parse_float=Decimal)
        assert repr(stored) == repr(json.loads(body, parse_float=Decimal)["payload"])


batches = spelled(st.lists(values, max_size=4).map(lambda items: {"tasks": items}))


@given(batches)
@thorough
def test_every_batch_that_is_json_is_split(body: bytes) -> None:
    elements = jsonbatch.split_tasks(body, limit=4)
    assert [oracle.tree(bytes(one)) for one in elements] == oracle.tree(body)["tasks"]


@given(damaged(batches))
@thorough
def test_a_damaged_batch_is_split_only_where_it_is_one(body: bytes) -> None:
    try:
        whole = oracle.tree(body)
    except (ValueError, RecursionError):
        whole = None
    is_batch = isinstance(whole, dict) and whole.keys() == {"tasks"}
    is_batch = is_batch and isinstance(whole["tasks"], list) and len(whole["tasks"]) <= 50
    try:
        elements = [jsontext.parse(bytes(raw)) for raw in jsonbatch.split_tasks(body, limit=50)]
    except (jsontext.NotJson, jsonbatch.NotBatch, jsonbatch.TooManyTasks):
        assert not is_batch or oracle.depth(whole) > jsontext.MAX_DEPTH
    else:
        assert is_batch
        assert len(elements) == len(whole["tasks"])


# How a body arrives


def arriving(chunks: list[bytes], *, gone: bool) -> Any:
    """An ASGI `receive` that gives these chunks, then the end, or that the client has left."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    messages.append(
        {"type": "http.disconnect"} if gone else {"type": "http.request", "more_body": False}
    )

    async def receive() -> Message:
        return messages.pop(0)

    return receive


@given(st.lists(st.binary(max_size=6), max_size=8), st.booleans())
@thorough
def test_a_body_is_what_its_chunks_are(chunks: list[bytes], gone: bool) -> None:
    limit, whole = 20, b"".join(chunks)

    async def read() -> bytes:
        return await reading.read({"headers": []}, arriving(chunks, gone=gone), limit)

    if len(whole) > limit:
        with pytest.raises(TooLarge):
            asyncio.run(read())
    elif gone:
        with pytest.raises(ClientGone):
            asyncio.run(read())
    else:
        assert asyncio.run(read()) == whole
