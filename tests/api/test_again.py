"""A head that came before: what follows it is done at once, and answered as it always was."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.api.checks import until
from tests.api.conftest import serving
from tests.api.served import Answer, Connection, Served, get, post
from unlost.access.keys import Key, KeyScope, Secret, digest
from unlost.api.app import App
from unlost.api.http import again, heads
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Submitted
from unlost.settings import Settings
from unlost.task import Submission


class Held(MemoryLedger):
    """A ledger that answers submits while it is `open`, and fails them with `fault`."""

    def __init__(self) -> None:
        super().__init__(wall_clock)
        self.open = asyncio.Event()
        self.open.set()
        self.fault: Exception | None = None
        self.submits = 0

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        self.submits += 1
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return await super().submit(submissions)


@pytest.fixture
async def ledger() -> Held:
    return Held()


@pytest.fixture
async def service(ledger: Held) -> AsyncIterator[Served]:
    async with serving(ledger) as one:
        yield one


@pytest.fixture
def regular(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that went the regular way, by their paths."""
    paths: list[str] = []
    call = App.__call__

    async def counted(self: App, scope: dict[str, object], *rest: object) -> None:
        if scope["type"] == "http":
            paths.append(str(scope["path"]))
        await call(self, scope, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(App, "__call__", counted)
    return paths


def task(name: str, payload: str = "{}") -> bytes:
    return b'{"taskId": "%b", "payload": %b}' % (name.encode(), payload.encode())


@asynccontextmanager
async def knowing(service: Served, body: bytes = task("a0")) -> AsyncIterator[Connection]:
    """A connection to a service that knows the head of such a body."""
    async with service.connection() as connection:
        await connection.send(post("/tasks", body))
        assert (await connection.answer()).status == 202
        yield connection


def alike(answer: Answer) -> tuple[object, ...]:
    """An answer without what differs from one task to the next."""
    headers = [(name, _ID.sub("ID", value)) for name, value in answer.headers.items()]
    kept = [(name, value if name != "date" else "") for name, value in headers]
    return answer.status, kept, _ID.sub("ID", _TIME.sub("TIME", answer.body.decode()))


_ID = re.compile(r"\b[ab][0-9]\b")
_TIME = re.compile(r"[0-9-]{10}T[0-9:.]{15}Z")


async def test_it_is_answered_as_the_first_was_and_counted(
    service: Served, regular: list[str]
) -> None:
    async with service.connection() as connection:
        answers = []
        for name in ("a0", "a1", "a2"):
            await connection.send(post("/tasks", task(name), "Content-Type: application/json"))
            answers.append(await connection.answer())

    assert regular == ["/tasks"]
    assert answers[1].headers["location"] == "/tasks/a1"
    assert "date" in answers[1].headers
    assert alike(answers[0]) == alike(answers[1]) == alike(answers[2])
    measures = service.app._recorder.take()
    assert measures.calls["submitTask"].statuses == {202: 3}


async def test_it_is_known_on_every_connection(service: Served, regular: list[str]) -> None:
    async with knowing(service):
        pass
    assert (await service.say(post("/tasks", task("a1")))).status == 202
    assert regular == ["/tasks"]


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"taskId": "a1", "payload": []}', 422), (task("a1")[:-1] + b"]", 400)]
)
async def test_what_is_wrong_with_a_body_is_told_as_ever(
    service: Served, regular: list[str], body: bytes, status: int
) -> None:
    told = alike(await service.say(post("/tasks", body)))
    assert told[0] == status
    async with knowing(service) as connection:
        assert len(body) == len(task("a0"))
        await connection.send(post("/tasks", body))
        assert alike(await connection.answer()) == told
        await connection.send(post("/tasks", task("a2")))
        assert (await connection.answer()).status == 202
    assert regular == ["/tasks"] * 3


async def test_a_replay_and_a_conflict_are_told_as_ever_and_brought_to_the_ledger_once(
    service: Served, ledger: Held, regular: list[str]
) -> None:
    async with knowing(service, task("a0", '{"n":1}')) as connection:
        submits = ledger.submits
        for payload in ('{"n":1}', '{"n":2}'):
            await connection.send(post("/tasks", task("a0", payload)))
        replay, conflict = [await connection.answer() for _ in range(2)]
    assert (replay.status, replay.headers["idempotent-replayed"]) == (200, "true")
    assert json.loads(replay.body)["payload"] == {"n": 1}
    assert json.loads(conflict.body)["type"] == "urn:unlost:problem:conflict"
    assert ledger.submits == submits + 2


async def test_a_ledger_that_is_not_there_is_told_as_ever_and_asked_once(
    service: Served, ledger: Held
) -> None:
    async with knowing(service) as connection:
        ledger.fault, submits = LedgerUnavailable("away"), ledger.submits
        await connection.send(post("/tasks", task("a1")))
        answer = await connection.answer()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert ledger.submits == submits + 1


async def test_the_first_of_a_connection_is_brought_to_the_ledger_once_also_where_it_is_a_replay(
    service: Served, ledger: Held
) -> None:
    async with knowing(service, task("a0")), service.connection() as other:
        submits = ledger.submits
        await other.send(post("/tasks", task("a0")))
        assert (await other.answer()).status == 200
    assert ledger.submits == submits + 1


async def test_an_empty_line_before_or_behind_a_request_is_passed_over(service: Served) -> None:
    async with service.connection() as connection:
        await connection.send(b"\r\n")
        await asyncio.sleep(0.05)  # it comes alone
        await connection.send(post("/tasks", task("a0")))
        assert (await connection.answer()).status == 202
    async with service.connection() as connection:
        await connection.send(post("/tasks", task("a1")))
        assert (await connection.answer()).status == 202
        await connection.send(b"\r\n")
        await asyncio.sleep(0.05)  # it comes alone
        await connection.send(post("/tasks", task("a2")))
        assert (await connection.answer()).status == 202


async def test_what_comes_meanwhile_has_its_turn_after_it(
    service: Served, ledger: Held, regular: list[str]
) -> None:
    async with knowing(service) as connection:
        ledger.open.clear()
        await connection.send(post("/tasks", task("a1")))
        await until(lambda: ledger.submits == 2)
        for part in (get("/livez"), post("/tasks", task("a2")) + post("/tasks", task("a3"))):
            await connection.send(part)
            await asyncio.sleep(0.01)
        ledger.open.set()
        answers = [await connection.answer() for _ in range(4)]
    assert [one.status for one in answers] == [202, 200, 202, 202]
    names = [json.loads(answers[n].body)["taskId"] for n in (0, 2, 3)]
    assert names == ["a1", "a2", "a3"]


async def test_a_body_that_comes_later_is_read_the_regular_way(
    service: Served, regular: list[str]
) -> None:
    async with knowing(service) as connection:
        whole = post("/tasks", task("a1"))
        await connection.send(whole[:-5])
        await asyncio.sleep(0.01)
        await connection.send(whole[-5:])
        assert (await connection.answer()).status == 202
        await connection.send(post("/tasks", task("a2")))
        assert (await connection.answer()).status == 202
    assert regular == ["/tasks", "/tasks"]


@pytest.mark.parametrize(
    ("header", "status"),
    [("Content-Type: text/plain", 415), ("Content-Encoding: gzip", 415), ("Connection: close", 202),
     ("Expect: 100-continue", 202), ("X-Other: 1", 202)],
)  # fmt: skip
async def test_another_head_is_another(
    service: Served, regular: list[str], header: str, status: int
) -> None:
    async with knowing(service):
        pass
    for name in ("a1", "a2"):
        answer = await service.say(post("/tasks", task(name), header))
        assert answer.status in (status, 100)
    assert regular == ["/tasks"] * (2 if header == "X-Other: 1" else 3)


async def test_what_has_a_query_or_another_length_or_no_announced_one_is_not_known(
    service: Served, regular: list[str]
) -> None:
    async with knowing(service):
        pass
    chunked = (
        b"POST /tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"20\r\n%b\r\n0\r\n\r\n"
    )
    for name in ("a1", "a2"):
        longer = task(name).replace(b"{}", b"{ }")
        assert len(longer) == 0x20
        assert (await service.say(post("/tasks?x=1", task(name)))).status == 422
        assert (await service.say(chunked % longer)).status == 202
    assert len(regular) == 5


async def test_the_client_may_leave_meanwhile(service: Served, ledger: Held) -> None:
    async with knowing(service) as connection:
        ledger.open.clear()
        await connection.send(post("/tasks", task("a1")))
        await until(lambda: ledger.submits == 2)
    ledger.open.set()
    assert (await service.say(post("/tasks", task("a2")))).status == 202
    assert await service.accepted() == 3


@pytest.mark.parametrize("fault", [None, LedgerUnavailable("away")])
async def test_what_is_under_way_when_the_service_stops_is_answered(
    service: Served, ledger: Held, fault: Exception | None
) -> None:
    async with knowing(service) as connection:
        ledger.open.clear()
        await connection.send(post("/tasks", task("a1")))
        await until(lambda: ledger.submits == 2)
        service.stop.set()
        await asyncio.sleep(0.2)
        ledger.fault = fault
        ledger.open.set()
        answer = await connection.answer()
        assert answer.status == (503 if fault else 202)
        assert answer.headers["connection"] == "close"
        assert await connection.ended()


async def test_what_another_address_sent_is_looked_at_anew(
    service: Served, regular: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that is believed may say what others may not."""
    async with knowing(service):
        pass
    monkeypatch.setattr(again.KnowingConnection, "_peer", "192.0.2.1")
    for name in ("a1", "a2"):
        assert (await service.say(post("/tasks", task(name)))).status == 202
    assert regular == ["/tasks", "/tasks"]


@pytest.mark.parametrize("settings", [Settings(auth="none", cors_origin=("https://shop.test",))])
async def test_where_answers_depend_on_more_each_is_made_anew(
    ledger: Held, regular: list[str], settings: Settings
) -> None:
    async with serving(ledger, settings) as service, knowing(service):
        assert (await service.say(post("/tasks", task("a1")))).status == 202
    assert regular == ["/tasks", "/tasks"]


async def test_no_head_is_kept_as_it_came(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a key."""
    kept: list[bytes] = []

    class Heads(dict[bytes, heads.Known]):
        def __setitem__(self, head: bytes, known: heads.Known) -> None:
            kept.append(head)
            super().__setitem__(head, known)

    begin = heads.Again.__init__

    def watched(self: heads.Again, heads: heads.Heads, *rest: Any) -> None:
        begin(self, Heads(heads), *rest)

    monkeypatch.setattr(heads.Again, "__init__", watched)
    secret = "unlost_" + "k" * 43
    answer = await service.say(post("/tasks", task("a0"), f"Authorization: Bearer {secret}"))
    assert answer.status == 202
    assert len(kept) == 1
    assert secret.encode() not in kept[0]


async def test_only_so_many_heads_are_kept(
    service: Served, regular: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "MOST_KNOWN", 2)
    for number in range(5):
        await service.say(post("/tasks", task(f"a{number}"), f"X-Number: {number}"))
    regular.clear()
    for number in (4, 0, 1, 2):
        await service.say(post("/tasks", task(f"b{number}"), f"X-Number: {number}"))
    assert len(regular) == 3


async def keyed(ledger: Held, name: str, **bounds: Any) -> None:
    """A key whose text is its name."""
    secrets = (Secret(digest(name)),)
    await ledger.add_key(Key(name, frozenset({KeyScope.SUBMIT}), 0, secrets, **bounds))


async def submitted(connection: Connection, name: str, key: str, **options: str) -> Answer:
    body = json.dumps({"taskId": name, "payload": {}, **options}).encode()
    await connection.send(post("/tasks", body, f"Authorization: Bearer {key}"))
    return await connection.answer()


async def test_with_a_key_it_is_done_as_quickly_and_is_the_keys(
    ledger: Held, regular: list[str]
) -> None:
    await keyed(ledger, "one")
    await keyed(ledger, "two")
    async with (
        serving(ledger, Settings(auth="keys")) as service,
        service.connection() as connection,
    ):
        answers = [await submitted(connection, name, "one") for name in ("a0", "a1")]
        other = await submitted(connection, "a2", "two")

    assert regular == ["/tasks"] * 2
    assert [answer.status for answer in (*answers, other)] == [202] * 3
    assert alike(answers[0]) == alike(answers[1])
    told = [json.loads(answer.body)["submittedBy"] for answer in (*answers, other)]
    assert told == ["one", "one", "two"]


async def test_a_head_whose_key_was_revoked_is_refused(ledger: Held, regular: list[str]) -> None:
    await keyed(ledger, "one")
    async with (
        serving(ledger, Settings(auth="keys")) as service,
        service.connection() as connection,
    ):
        for name in ("a0", "a1"):
            assert (await submitted(connection, name, "one")).status == 202
        await ledger.revoke_key("one", wall_clock())
        known = service.app._admission._keys
        assert known is not None
        await known.refresh()
        assert (await submitted(connection, "a2", "one")).status == 401

    assert regular == ["/tasks"] * 2
    assert await ledger.get("a2") is None


async def test_a_head_of_a_key_for_other_types_is_looked_at_again(ledger: Held) -> None:
    await keyed(ledger, "one", types=("mail",))
    async with (
        serving(ledger, Settings(auth="keys")) as service,
        service.connection() as connection,
    ):
        for name in ("a0", "a1"):
            assert (await submitted(connection, name, "one", type="mail")).status == 202
        assert (await submitted(connection, "a2", "one", type="mali")).status == 403

    assert await ledger.get("a2") is None
