"""What only a real server on a socket shows: encodings, limits while reading, methods."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import pytest

from tests.api.checks import until
from tests.api.conftest import serving
from tests.api.served import Answer, Served, get, post
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock

TASK = b'{"taskId": "t", "payload": {}}'
KIB = 1024


def problem(answer: Answer, status: int) -> dict[str, object]:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = json.loads(answer.body)
    assert body["status"] == status
    return body


IDS = {
    "a/b": "a%2Fb", "a?b": "a%3Fb", "a%2Fb": "a%252Fb", "batch": "%62atch", "é": "%C3%A9",
    "a b": "a%20b", "a+b": "a+b", "😀": "%F0%9F%98%80", "...": "...", "a;b": "a;b",
    "a//b": "a%2F%2fb",
}  # fmt: skip


@pytest.mark.parametrize(("task_id", "encoded"), IDS.items())
async def test_an_id_in_a_path_is_decoded_once(served: Served, task_id: str, encoded: str) -> None:
    await served.client.post("/tasks", json={"taskId": task_id, "payload": {}})

    answer = await served.say(get(f"/tasks/{encoded}"))

    assert answer.status == 200
    assert json.loads(answer.body)["taskId"] == task_id


@pytest.mark.parametrize(
    "path",
    ["/tasks/%", "/tasks/%2", "/tasks/%zz", "/tasks/%ff", "/tasks/%c0%af", "/tasks/%ed%a0%80",
     "/tasks/", "/tasks//", "//tasks", "/nothing", "/tasks/a/b", "/tasks/a/cancel/", "/stats/",
     "/dead-letters/", "/openapi.json/", "/TASKS", "/.", "/tasks/.", "/tasks/..", "/tasks/%2e%2e",
     "/tasks/%00", "/tasks/%0a", "*"],
)  # fmt: skip
async def test_a_path_that_leads_nowhere_is_404_and_no_redirect(served: Served, path: str) -> None:
    problem(await served.say(get(path)), 404)


ALLOWED = {
    "/tasks": {"GET", "HEAD", "POST"},
    "/tasks/batch": {"GET", "HEAD", "POST"},
    "/tasks/t": {"GET", "HEAD"},
    "/tasks/t/cancel": {"POST"},
    "/dead-letters": {"GET", "HEAD"},
    "/dead-letters/groups": {"GET", "HEAD", "DELETE"},
    "/dead-letters/redrive": {"POST", "DELETE"},
    "/dead-letters/t": {"DELETE"},
    "/dead-letters/t/redrive": {"POST"},
    "/stats": {"GET", "HEAD"},
    "/": {"GET", "HEAD"},
}


@pytest.mark.parametrize(("path", "allowed"), ALLOWED.items())
async def test_another_method_is_405_and_names_all_that_are_allowed(
    served: Served, path: str, allowed: set[str]
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - allowed:
        answer = await served.say(get(path, method=method))
        problem(answer, 405)
        assert set(answer.headers["allow"].split(", ")) == allowed


async def test_head_works_where_get_does_and_has_no_body(served: Served) -> None:
    await served.client.post("/tasks", json={"taskId": "t", "payload": {}})
    for path in ("/", "/tasks", "/tasks/t", "/dead-letters", "/dead-letters/groups", "/stats",
                 "/audit", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs"):  # fmt: skip
        async with served.connection() as connection:
            await connection.send(get(path, method="HEAD") + get("/livez"))
            status, headers = await connection.head()
            assert status == 200, path
            assert int(headers["content-length"]) > 0
            assert (await connection.answer()).body == b'{"status":"alive"}'
    assert (await served.client.head("/nothing")).status_code == 404


async def test_a_body_without_a_content_type_is_taken_as_json(served: Served) -> None:
    answer = await served.say(post("/tasks", TASK))

    assert answer.status == 202
    assert answer.headers["location"] == "/tasks/t"


async def test_a_body_in_chunks_that_drips_is_read_to_its_end(served: Served) -> None:
    head = b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"1\r\n%c\r\n" % byte for byte in TASK]

    answer = await served.say(head, *chunks, b"0\r\n\r\n")

    assert answer.status == 202


async def test_a_body_that_says_it_is_too_long_is_refused_unread(served: Served) -> None:
    head = b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 10000000\r\n\r\n"

    problem(await served.say(head), 413)


async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_long(served: Served) -> None:
    head = b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"

    problem(await served.say(head, *[chunk] * 6), 413)  # and its end has not come


async def test_a_client_that_sends_it_all_before_it_reads_still_learns_of_413(
    served: Served,
) -> None:
    answer = await served.client.post("/tasks", content=b" " * 20 * KIB * KIB)

    assert answer.status_code == 413
    async with served.connection() as connection:
        await connection.send(post("/tasks", b" " * 5 * KIB * KIB) + get("/livez"))
        problem(await connection.answer(), 413)
        assert (await connection.answer()).status == 200
    assert await served.accepted() == 0


async def test_a_client_that_waits_for_100_continue_is_told_413_instead(served: Served) -> None:
    head = (
        "POST /tasks HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n"
    )

    problem(await served.say(head.format(10_000_000).encode()), 413)
    async with served.connection() as connection:
        await connection.send(head.format(len(TASK)).encode())
        assert (await connection.head())[0] == 100
        await connection.send(TASK)
        assert (await connection.answer()).status == 202


async def test_a_client_of_http_1_0_is_not_told_to_continue(served: Served) -> None:
    request = post("/tasks", TASK, "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert (await served.say(request)).status == 202


async def test_a_client_that_leaves_amid_its_body_leaves_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with served.connection() as connection:
        await connection.send(post("/tasks", TASK)[:-5])
    answer = await served.client.get("/stats")

    assert answer.json()["accepted"] == 0
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "request_text",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nContent-Length: x\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"CONNECT example.test:443 HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_400_and_a_closed_connection(
    served: Served, request_text: bytes
) -> None:
    async with served.connection() as connection:
        await connection.send(request_text)
        problem(await connection.answer(), 400)
        assert await connection.ended()


@pytest.mark.parametrize(
    "endless",
    [
        [b"GET / HTTP/1.1\r\n", b"X: " + b"a" * 70 * KIB],
        [b"GET / HTTP/1.1\r\n", *[b"X-%d: y\r\n" % number for number in range(10_000)]],
        [b"GET / HTTP/1.1\r\n", b"X: " + b"a" * (32 * KIB - 4) + b"\r\n\r\n"],
    ],
)
async def test_headers_over_32_kib_are_refused(served: Served, endless: list[bytes]) -> None:
    async with served.connection() as connection:
        await connection.send(b"".join(endless))
        problem(await connection.answer(), 431)
        assert await connection.ended()


@pytest.mark.parametrize(
    "rest", [b"", b" HTTP/1.1\r\nHost: [::1]\r\n\r\n"], ids=["endless", "whole"]
)
@pytest.mark.parametrize("size", [32 * KIB - 12, 70 * KIB, 300 * KIB])
async def test_a_request_line_over_32_kib_is_refused_as_that(
    served: Served, size: int, rest: bytes
) -> None:
    async with served.connection() as connection:
        await connection.send(b"GET /" + b"a" * size + rest)
        problem(await connection.answer(), 414)
        assert await connection.ended()


async def test_a_line_and_headers_of_32_kib_each_are_read(served: Served) -> None:
    line = b"GET /tasks/" + b"a" * (32 * KIB - 20) + b" HTTP/1.1"
    headers = b"Host: [::1]\r\nX: " + b"a" * (32 * KIB - 18) + b"\r\n"
    assert (len(line), len(headers)) == (32 * KIB, 32 * KIB)
    async with served.connection() as connection:
        await connection.send(line + b"\r\n" + headers + b"\r\n")
        problem(await connection.answer(), 404)


async def test_endless_trailers_end_the_connection(served: Served) -> None:
    head = b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n"
    head += b"1\r\n{\r\n0\r\n"
    async with served.connection() as connection:
        await connection.send(head + b"X: " + b"a" * 200 * KIB)
        problem(await connection.answer(), 431)
        assert await connection.ended()


async def test_an_idle_connection_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlost.api.server.KEEP_ALIVE", 2.0)
    async with (
        serving(MemoryLedger(wall_clock)) as served,
        served.connection() as silent,
        served.connection() as idle,
        served.connection() as slow,
    ):
        await slow.send(post("/tasks", TASK)[:-5])
        await idle.send(get("/livez"))
        assert (await idle.answer()).status == 200

        assert await silent.ended()
        assert await idle.ended()
        await slow.send(TASK[-5:])
        assert (await slow.answer()).status == 202


async def test_requests_sent_ahead_are_answered_in_order(served: Served) -> None:
    tasks = [json.dumps({"taskId": f"t{number}", "payload": {}}).encode() for number in range(50)]
    async with served.connection() as connection:
        await connection.send(b"".join(post("/tasks", task) for task in tasks))
        answers = [await connection.answer() for _ in tasks]

    assert [json.loads(answer.body)["taskId"] for answer in answers] == [
        f"t{number}" for number in range(50)
    ]


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
async def test_an_offer_to_upgrade_is_ignored_and_the_body_still_read(
    served: Served, upgrade: str
) -> None:
    offer = [f"Upgrade: {upgrade}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMA"]
    async with served.connection() as connection:
        for sent in (post("/tasks", TASK, *offer), get("/tasks/t", *offer), get("/livez")):
            await connection.send(sent[:100])
            await connection.send(sent[100:])
        assert [(await connection.answer()).status for _ in range(3)] == [202, 200, 200]


async def test_a_gzip_body_is_415(served: Served) -> None:
    problem(await served.say(post("/tasks", b"\x1f\x8b\x08", "Content-Encoding: gzip")), 415)


async def test_calls_under_way_are_finished_when_the_service_stops(served: Served) -> None:
    async with served.connection() as connection:
        await connection.send(post("/tasks", TASK, "Expect: 100-continue").removesuffix(TASK))
        assert (await connection.head())[0] == 100
        served.stop.set()
        await until(lambda: not listens(served))
        await connection.send(TASK)

        assert (await connection.answer()).status == 202
        assert await connection.ended()
    await asyncio.wait_for(served.running, 5)


def listens(served: Served) -> bool:
    """Whether new connections are taken."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", served.port)) == 0


HALF = {
    "a body": b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 1000\r\n\r\n{",
    "a chunked batch": (
        b"POST /tasks/batch HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'4\r\n{"ta\r\n'
    ),
    "a body that was asked about first": (
        b"POST /tasks HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    ),
}


@pytest.mark.parametrize("half", HALF.values(), ids=HALF)
async def test_a_stop_does_not_wait_for_the_rest_of_a_body(
    served: Served, half: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served.connection() as connection:
        await connection.send(half)
        await served.client.get("/livez")  # what was sent has been read
        began = time.monotonic()
        served.stop.set()
        if b"Expect" in half:
            assert (await connection.head())[0] == 100
        problem(await connection.answer(), 503)
        await asyncio.wait_for(served.running, 10)
    assert time.monotonic() - began < 5  # uvicorn would wait for 10 s
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_stop_does_not_wait_for_the_rest_of_a_head_or_for_idle_clients(
    served: Served,
) -> None:
    async with served.connection() as half, served.connection() as idle:
        await half.send(b"POST /tasks HTTP/1.1\r\nHos")
        await idle.send(get("/livez"))
        assert (await idle.answer()).status == 200
        began = time.monotonic()
        served.stop.set()
        await asyncio.wait_for(served.running, 10)
        assert await half.ended()
        assert await idle.ended()
    assert time.monotonic() - began < 5


async def test_a_stop_does_not_wait_for_a_client_that_does_not_read(served: Served) -> None:
    async with served.connection(room=4096) as connection:
        for _ in range(400):  # more than the system takes for a client that does not read
            connection.writer.write(get("/openapi.json"))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        served.stop.set()
        await asyncio.wait_for(served.running, 10)
    assert time.monotonic() - began < 5


def early(version: str = "1.1", *headers: str) -> bytes:
    """The head of a submit whose body is known to be too long."""
    lines = [f"POST /tasks HTTP/{version}", "Host: localhost", "Content-Length: 10000000", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("head", [early("1.0"), early("1.1", "Connection: close")])
async def test_who_says_it_will_close_may_send_the_whole_body_and_read_why_it_was_refused(
    served: Served, head: bytes
) -> None:
    """As nginx does by default: what is not read would reset the connection."""
    async with served.connection() as connection:
        await connection.send(head + b" " * 1000)
        problem(await connection.answer(), 413)
        for _ in range(10):
            await connection.send(b" " * 999_900)
        assert await connection.ended()


async def test_a_call_after_the_last_is_not_done(served: Served) -> None:
    async with served.connection() as connection:
        await connection.send(early("1.1", "Connection: close"))
        problem(await connection.answer(), 413)
        await connection.send(b" " * 10_000_000 + post("/tasks", TASK))
        assert await connection.ended()
    assert await served.accepted() == 0


async def test_a_body_that_does_not_end_is_thrown_away_for_a_while_only(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlost.api.http.connection.connection.DRAINED", 0.05)
    for head in (early(), early("1.1", "Connection: close")):
        async with served.connection() as connection:
            await connection.send(head)
            problem(await connection.answer(), 413)
            assert await connection.ended()


async def test_a_body_that_ends_in_time_leaves_the_connection_to_the_next_call(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlost.api.http.connection.connection.DRAINED", 1.5)
    size = 321 * KIB
    async with served.connection() as connection:
        await connection.send(post("/tasks", b" " * size)[:-1])
        problem(await connection.answer(), 413)
        await connection.send(b" ")
        await asyncio.sleep(1.6)  # the time for the rest of the body is over
        await connection.send(get("/livez"))
        assert (await connection.answer()).status == 200
