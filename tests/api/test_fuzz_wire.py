"""Bytes on a socket that are nearly HTTP: never a 5xx, never a 2xx for what is not stored."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.fuzzed import Fuzzed, fuzzed

EXAMPLES = 100
SILENCE = 0.03
"""Seconds without a byte after which nothing more is expected of a connection."""

OWN = b"~~~~~~"
"""Stands in ids for the number of the example."""

BODY = b'{"taskId": "~~~~~~%d", "payload": {"n": 1}}'
TEXT = "application/json"
numbers = count()


def with_length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def in_chunks(body: bytes) -> bytes:
    parts = (body[:7], body[7:])
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def request(start: bytes, rest: bytes) -> bytes:
    return start + b" HTTP/1.1\r\nHost: [::1]\r\n" + rest


RIGHT = [
    *(request(b"POST /tasks", with_length(BODY % number)) for number in range(2)),
    *(request(b"POST /tasks", in_chunks(BODY % number)) for number in range(2, 4)),
    request(b"POST /tasks/batch", with_length(b'{"tasks": [%b]}' % (BODY % 4))),
    request(b"POST /tasks/batch", b"Content-Type: application/x-ndjson\r\n" + in_chunks(BODY % 5)),
    request(b"GET /tasks/~~~~~~0?wait=0", b"\r\n"),
    request(b"POST /tasks/~~~~~~1/cancel", b"Content-Length: 0\r\n\r\n"),
    request(b"DELETE /dead-letters/~~~~~~0", b"\r\n"),
    request(b"OPTIONS *", b"\r\n"),
]
LINES = [
    b"Content-Length: 0\r\n", b"Content-Length: 7\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: +5\r\n", b"Content-Length: 5, 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: y\r\n",
    b"Expect: 100-continue\r\n", b"Expect: nothing\r\n", b"Connection: close\r\n", b" folded\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"Content-Encoding: gzip\r\n", b"\r\n", b"\n",
    b"Content-Type: \r\n", b'Content-Type: application/json; charset="\xff"\r\n', b":\r\n",
    b"X: " + b"y" * 70_000 + b"\r\n", b"Trailer: X\r\n", b"x\x00y: z\r\n", b"Keep-Alive\r\n",
]  # fmt: skip
PIECES = [
    b"\x00", b"\xff", b"\r", b"\n", b" ", b"%", b"%00", b"//", b"?", b"&wait=1e9", b"-", b"f" * 17,
    b"0\r\n\r\n", b";x=y", b"HTTP/1.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01",
]  # fmt: skip


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """A request, whole or with lines and pieces put in, left out or cut off."""
    sent = draw(st.sampled_from(RIGHT))
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            lines = sent.splitlines(keepends=True)
            at = draw(st.integers(0, len(lines)))
            sent = b"".join([*lines[:at], draw(st.sampled_from(LINES)), *lines[at:]])
        else:
            at = draw(st.integers(0, len(sent)))
            piece = draw(st.sampled_from(PIECES) | st.binary(max_size=3))
            sent = sent[:at] + piece + sent[at + draw(st.sampled_from([0, 1, 5, 10**6])) :]
    return sent


def exchange(port: int, parts: list[bytes], silence: float = SILENCE) -> bytes:
    """What the server says to these parts, each sent by itself, until it ends or is silent."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                wire.sendall(part)
            wire.settimeout(silence)
            while data := wire.recv(1 << 16):
                said += data
        except (TimeoutError, ConnectionError):
            pass
    return said


def answers(said: bytes) -> list[tuple[int, bytes]]:
    """The responses in what a server has said, as far as they are whole; each must be HTTP."""
    found = []
    while b"\r\n\r\n" in said:
        head, _, said = said.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        version, status, *_ = first.split(b" ")
        assert version == b"HTTP/1.1", first
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        length = int(headers.get(b"content-length", 0))
        found.append((int(status), said[:length]))
        said = said[length:]
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed(tmp_path_factory.mktemp("wire")) as running:
        yield running


@given(st.lists(nearly(), min_size=1, max_size=4), st.sets(st.integers(0, 400), max_size=4))
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_bytes_that_are_nearly_http_break_nothing(
    service: Fuzzed, caplog: pytest.LogCaptureFixture, sent: list[bytes], cuts: set[int]
) -> None:
    whole = b"".join(sent).replace(OWN, b"w%05d" % next(numbers))
    bounds = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    before = service.counts().accepted
    caplog.clear()

    found = answers(exchange(service.port, [whole[a:b] for a, b in pairwise(bounds)]))

    assert all(status < 500 for status, _ in found), found
    stored = [json.loads(body)["taskId"] for status, body in found if status == 202]
    for task_id in stored:
        assert service.ask(service.ledger.get(task_id)) is not None
    assert service.counts().accepted - before >= len(stored)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


FOLLOWING = {
    "no HTTP": (b"hello\r\n\r\n", 400),
    "a chunk of no length": (
        b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    ),
    "an endless head": (b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000, 431),
}


@pytest.mark.parametrize(("following", "status"), FOLLOWING.values(), ids=FOLLOWING)
def test_calls_that_came_whole_are_answered_before_what_follows_is_refused(
    service: Fuzzed, caplog: pytest.LogCaptureFixture, following: bytes, status: int
) -> None:
    own = b"w%05d" % next(numbers)
    sent = b"".join([*RIGHT[:2], following]).replace(OWN, own)

    found = answers(exchange(service.port, [sent], silence=10))

    assert [status for status, _ in found] == [202, 202, status]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
