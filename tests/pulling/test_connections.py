"""A worker's calls over real sockets: what servers and what lies between may do to them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest

from tests.webhooks.receiver import receiving
from tests.webhooks.test_sending import PEM
from unlost.client.address import Address
from unlost.client.core.wire import Answer, NoAnswer, Reply, Request, words
from unlost.pulling.connections import LARGEST, Connections, authority

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n"
CALL = Request("POST", "/attempts/claim", body=b'{"claim":1}')
LARGE = b"x" * 3_000_000


class Stage:
    """`heads` are those of the requests that came, each with its connection's number."""

    def __init__(self, there: Connections, heads: list[tuple[int, bytes]]) -> None:
        self.there = there
        self.heads = heads


@asynccontextmanager
async def serving(*scripts: list[bytes | None], patience: float = 20.0) -> AsyncIterator[Stage]:
    """A server that gives the answers of a script to the calls of a connection, one after the
    other, and closes it then; None is none until the other side has closed it.  A further
    connection has the next script."""
    heads: list[tuple[int, bytes]] = []
    played: list[asyncio.Task[None]] = []

    async def play(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for answer in scripts[number]:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                heads.append((number, head))
                if answer is None:
                    await reader.read()
                else:
                    writer.write(answer)
                    await writer.drain()
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        played.append(asyncio.ensure_future(play(len(played), reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    there = Connections(Address(f"http://127.0.0.1:{port}/below", "a-key"), patience)
    try:
        yield Stage(there, heads)
    finally:
        await there.close()
        await asyncio.gather(*played)
        server.close()


async def replies(stage: Stage, count: int) -> list[Reply]:
    return [await stage.there.ask(CALL) for _ in range(count)]


async def test_calls_that_follow_each_other_share_a_connection_and_bring_the_key() -> None:
    async with serving([OK, OK, OK]) as stage:
        assert await replies(stage, 3) == [Answer(200, b"{}")] * 3
    assert [number for number, _ in stage.heads] == [0, 0, 0]
    lines = stage.heads[0][1].decode().split("\r\n")
    assert lines[0] == "POST /below/attempts/claim HTTP/1.1"
    assert {"authorization: Bearer a-key", "content-type: application/json"} <= set(lines)


async def test_calls_at_once_have_connections_of_their_own_which_are_kept() -> None:
    async with serving([OK, OK], [OK, OK]) as stage:
        first = await asyncio.gather(stage.there.ask(CALL), stage.there.ask(CALL))
        then = await asyncio.gather(stage.there.ask(CALL), stage.there.ask(CALL))
    assert [*first, *then] == [Answer(200, b"{}")] * 4
    assert sorted(number for number, _ in stage.heads) == [0, 0, 1, 1]


FRAMED = {
    "in chunks": CHUNKED + b"1\r\n}\r\n0\r\n\r\n",
    "after others": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    + OK,
    "until it is closed": b"HTTP/1.1 200 OK\r\n\r\n{}",
    "of an old server": b"HTTP/1.0 200 OK\r\n\r\n{}",
}


@pytest.mark.parametrize("answer", FRAMED.values(), ids=FRAMED)
async def test_an_answer_is_read_however_its_end_is_told(answer: bytes) -> None:
    async with serving([answer]) as stage:
        assert await replies(stage, 1) == [Answer(200, b"{}")]


async def test_what_the_headers_ask_for_is_told_of_several_together() -> None:
    answer = (
        b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nRETRY-AFTER: 70\r\n"
        b"Date: Mon, 30 Nov 2026 10:00:00 GMT\r\ncontent-length: 0\r\n\r\n"
    )
    async with serving([answer]) as stage:
        [reply] = await replies(stage, 1)
    assert reply == Answer(503, b"", "3, 70", "Mon, 30 Nov 2026 10:00:00 GMT")


UNUSABLE = {
    "asks for the end": b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
    "says more than it was asked": OK + OK,
    "goes on with something else": OK + b"and so on\r\n",
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE)
async def test_after_an_answer_that_leaves_doubt_the_next_call_has_a_connection_of_its_own(
    answer: bytes,
) -> None:
    other = OK.replace(b"{}", b"[]")
    async with serving([answer, OK], [other]) as stage:
        assert await replies(stage, 2) == [Answer(200, b"{}"), Answer(200, b"[]")]
    assert [number for number, _ in stage.heads] == [0, 1]


async def test_a_connection_that_was_closed_meanwhile_is_not_used_again() -> None:
    async with serving([OK], [OK]) as stage:
        assert await replies(stage, 1) == [Answer(200, b"{}")]
        await asyncio.sleep(0.05)
        assert await replies(stage, 1) == [Answer(200, b"{}")]


BROKEN = {
    "closed": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-",
    "half a body": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
    "half in chunks": CHUNKED,
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_whole_answer_is_none_and_the_next_call_is_well(answer: bytes) -> None:
    async with serving([answer], [OK]) as stage:
        broken, well = await replies(stage, 2)
    assert isinstance(broken, NoAnswer)
    assert "the connection to http://127.0.0.1" in broken.why
    assert well == Answer(200, b"{}")


async def test_where_nothing_moves_the_call_ends_and_the_next_is_well() -> None:
    async with serving([None], [OK], patience=0.2) as stage:
        hanging, well = await replies(stage, 2)
    assert isinstance(hanging, NoAnswer)
    assert hanging.why.endswith("did not answer in time")
    assert well == Answer(200, b"{}")


async def test_a_certificate_must_be_trusted_and_name_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def here(_: str, port: int, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", here)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(PEM)
    async with receiving(tls=tls) as receiver:
        stranger = await _asked(f"https://receiver.test:{receiver.port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
        other = await _asked(f"https://other.test:{receiver.port}")
        known = await _asked(f"https://receiver.test:{receiver.port}")
    for refused in (stranger, other):
        assert isinstance(refused, NoAnswer)
        assert "CERTIFICATE_VERIFY_FAILED" in refused.why
    assert isinstance(known, Answer)
    assert len(receiver.requests) == 1


async def _asked(url: str) -> Reply:
    there = Connections(Address(url), 5)
    try:
        return await there.ask(CALL)
    finally:
        await there.close()


async def test_where_nobody_is_the_call_says_so() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    reply = await Connections(Address(f"http://127.0.0.1:{port}"), 5).ask(CALL)
    assert isinstance(reply, NoAnswer)
    assert reply.why == f"no service at http://127.0.0.1:{port} (Connection refused)"


async def test_where_nobody_is_at_any_of_its_addresses_the_call_says_so_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    loop = asyncio.get_running_loop()
    both = [await loop.getaddrinfo(f"127.0.0.{n}", port, type=socket.SOCK_STREAM) for n in (1, 2)]
    with (
        patch.object(loop, "getaddrinfo", AsyncMock(return_value=[*both[0], *both[1]])),
        pytest.raises(OSError, match="Multiple exceptions") as refused,
    ):
        await asyncio.open_connection("localhost", port)
    assert words(refused.value) == "Connection refused"


async def test_a_call_that_is_given_up_leaves_no_answer_to_the_next() -> None:
    async with serving([None], [OK]) as stage:
        call = asyncio.create_task(stage.there.ask(CALL))
        while not stage.heads:  # noqa: ASYNC110  it is the server that notes them
            await asyncio.sleep(0)
        call.cancel()
        assert await replies(stage, 1) == [Answer(200, b"{}")]
    assert [number for number, _ in stage.heads] == [0, 1]


async def test_much_is_sent_and_received_whole() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(LARGE) + LARGE
    async with serving([answer, OK]) as stage:
        reply = await stage.there.ask(Request("POST", "/x", body=LARGE))
        assert reply == Answer(200, LARGE)
        assert await replies(stage, 1) == [Answer(200, b"{}")]
    assert [number for number, _ in stage.heads] == [0, 0]


@pytest.mark.parametrize("url", ["http://a..b", "https://" + "ü" * 64 + ".example"])
def test_what_can_be_no_host_is_a_wrong_address(url: str) -> None:
    with pytest.raises(ValueError, match="idna"):
        Connections(Address(url), 1)


TOO_LARGE = {
    "headers": (b"HTTP/1.1 200 OK\r\n" + b"x-more: and more\r\n" * 20_000, "its headers"),
    "one header": (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 300_000, "its headers"),
    "before it": (b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" * 10_000, "its headers"),
    "a body": (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LARGEST + 1), "it has answered"),
}


@pytest.mark.parametrize(("answer", "why"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_an_answer_is_read_only_as_far_as_one_can_be_large(answer: bytes, why: str) -> None:
    async with serving([answer, None], [OK]) as stage:
        broken, well = await replies(stage, 2)
    assert isinstance(broken, NoAnswer)
    assert re.search(why + ".* more than [0-9]+ bytes", broken.why)
    assert well == Answer(200, b"{}")


LONG = "2001:db8:1111:2222:3333:4444:5555:6666"
HOSTS = {
    "http://Service.Example:8080/below": "service.example:8080",
    "http://service.example": "service.example",
    "http://bücher.example:81": "xn--bcher-kva.example:81",
    f"https://{'x' * 63}:8443": f"{'x' * 63}:8443",
    f"http://[{LONG}]:80": f"[{LONG}]:80",
    "http://[::1]": "[::1]",
}


@pytest.mark.parametrize(("url", "host"), HOSTS.items())
def test_the_host_is_told_as_names_are_written_with_the_port_beside_it(url: str, host: str) -> None:
    Connections(Address(url), 1)
    assert authority(url) == host
