"""Requests that webhooks send, over real sockets; only the resolver is the test's own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.webhooks.receiver import Receiver, receiving
from unlost.webhooks import sending
from unlost.webhooks.sending import Answer, NotSent, Sender
from unlost.webhooks.target import BadTarget, Reach, read

PEM = Path(__file__).with_name("receiver.pem")


class Names:
    """A resolver that gives one answer after another, the last one again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


async def post(sender: Sender, url: str) -> Answer:
    return await sender.post(read(url, Reach.ANY), {"webhook-id": "webhook_1"}, b"{}")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def test_a_request_comes_as_it_was_meant(receiver: Receiver) -> None:
    answer = await post(Sender(Reach.ANY), receiver.url)
    (request,) = receiver.requests
    assert answer == Answer(204, ())
    assert request.line == "POST /hook?to=me HTTP/1.1"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (request.headers["webhook-id"], request.body) == ("webhook_1", b"{}")


async def test_a_name_that_leads_to_a_private_address_is_refused(receiver: Receiver) -> None:
    names = Names(["127.0.0.1"])
    sender = Sender(Reach.PUBLIC, resolve=names)
    with pytest.raises(BadTarget, match="not public"):
        await post(sender, f"https://hook.example.com:{receiver.port}/")
    assert names.asked == [("hook.example.com", receiver.port)]
    assert receiver.connections == 0


async def test_one_private_address_among_public_ones_is_enough_to_refuse(
    receiver: Receiver,
) -> None:
    sender = Sender(Reach.PUBLIC, resolve=Names(["1.1.1.1", "127.0.0.1"]))
    with pytest.raises(BadTarget):
        await post(sender, f"https://hook.example.com:{receiver.port}/")


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1"])
async def test_other_names_of_this_machine_lead_nowhere(receiver: Receiver, host: str) -> None:
    with pytest.raises((BadTarget, NotSent)):
        await post(Sender(Reach.PUBLIC), f"https://{host}:{receiver.port}/")
    assert receiver.connections == 0


async def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked(
    receiver: Receiver,
) -> None:
    # The second answer, which a client that resolves anew would get, has nobody listening.
    names = Names(["127.0.0.1"], ["127.0.0.9"])
    answer = await post(Sender(Reach.ANY, resolve=names), f"http://rebinds.test:{receiver.port}/")
    assert (answer.status, len(names.asked)) == (204, 1)
    assert receiver.requests[0].headers["host"] == f"rebinds.test:{receiver.port}"


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%1"])
async def test_a_name_that_leads_to_a_link_local_address_is_refused_whatever_is_allowed(
    receiver: Receiver, address: str
) -> None:
    for found in ([address], ["127.0.0.1", address]):
        with pytest.raises(BadTarget, match="link-local"):
            await post(
                Sender(Reach.ANY, resolve=Names(found)), f"http://hook.test:{receiver.port}/"
            )
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["2852039166", "0xa9.254.169.254", "169.254.43518"])
async def test_other_spellings_of_a_link_local_address_lead_nowhere(host: str) -> None:
    with pytest.raises((BadTarget, NotSent), match=r"link-local|resolved"):
        await post(Sender(Reach.ANY), f"http://{host}/latest/meta-data")


async def test_a_name_that_is_rebound_to_a_link_local_address_is_refused_when_it_is(
    receiver: Receiver,
) -> None:
    sender = Sender(Reach.ANY, resolve=Names(["127.0.0.1"], ["169.254.169.254"]))
    url = f"http://rebinds.test:{receiver.port}/"
    assert (await post(sender, url)).status == 204
    with pytest.raises(BadTarget, match="link-local"):
        await post(sender, url)


async def test_a_redirect_to_a_link_local_address_is_not_followed() -> None:
    away = "307 Temporary Redirect\r\nLocation: http://169.254.169.254/latest/meta-data"
    async with receiving(away) as other:
        assert (await post(Sender(Reach.ANY), other.url)).status == 307


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    async with receiving(f"307 Temporary Redirect\r\nLocation: {receiver.url}") as other:
        answer = await post(Sender(Reach.ANY), other.url)
    assert (answer.status, receiver.connections) == (307, 0)


async def test_a_proxy_of_the_environment_sees_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await post(Sender(Reach.ANY), receiver.url)
    assert (receiver.connections, proxy.connections) == (1, 0)


async def test_the_next_address_is_tried_where_nobody_listens(receiver: Receiver) -> None:
    names = Names(["127.0.0.9", "127.0.0.1"])
    answer = await post(Sender(Reach.ANY, resolve=names), f"http://two.test:{receiver.port}/")
    assert answer.status == 204


async def test_nobody_there_and_no_answer_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiving("") as silent:
        with monkeypatch.context() as patched:
            patched.setattr(sending, "TIMEOUT", 0.2)
            with pytest.raises(NotSent, match=r"^no answer within 0\.2 s$"):
                await post(Sender(Reach.ANY), silent.url)
    with pytest.raises(NotSent, match="no connection"):
        await post(Sender(Reach.ANY), silent.url)


@asynccontextmanager
async def saying(text: bytes) -> AsyncIterator[str]:
    """The URL of a server that says this to everybody, and ends."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(text)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"220 mail.example.com ESMTP\r\n", "what came is not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "what came is not HTTP"),
        (b"", "the connection was closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "the connection was closed"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n", "its head is too long"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000 + b"\r\n\r\n", "its head is too long"),
        (b"HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n" * 300, "its head is too long"),
    ],
)
async def test_what_is_no_answer_is_none(text: bytes, why: str) -> None:
    async with saying(text) as url:
        with pytest.raises(NotSent, match=f"^no answer: .*{why}"):
            await post(Sender(Reach.ANY), url)


async def test_hints_come_before_the_answer_and_a_body_is_not_waited_for() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 7\r\n\r\n"
    answer = b"HTTP/1.0 503\nretry-AFTER:  5 \nContent-Length: 9999\n\nbegin"
    async with saying(hints + answer) as url:
        assert await post(Sender(Reach.ANY), url) == Answer(503, ("5",))


async def test_a_name_that_is_not_there_is_not_sent_to() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError

    for resolve in (unknown, Names([])):
        with pytest.raises(NotSent):
            await post(Sender(Reach.ANY, resolve=resolve), "http://nobody.test/")


async def test_the_certificate_must_name_the_urls_host_although_the_address_is_called() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(PEM)
    sender = Sender(
        Reach.ANY,
        resolve=Names(["127.0.0.1"]),
        tls=ssl.create_default_context(cafile=str(PEM)),
    )
    async with receiving(tls=server) as receiver:
        answer = await post(sender, f"https://receiver.test:{receiver.port}/")
        assert answer.status == 204
        with pytest.raises(NotSent, match="certificate"):
            await post(sender, f"https://other.test:{receiver.port}/")
        stranger = Sender(Reach.ANY, resolve=Names(["127.0.0.1"]))
        with pytest.raises(NotSent, match="certificate"):
            await post(stranger, f"https://receiver.test:{receiver.port}/")
    assert len(receiver.requests) == 1
