"""`POST /tasks/batch`: many tasks, each judged for itself, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.api.checks import pointers, problem
from tests.conformance.stage import Clock, Stage
from unlost.api.app import create_app
from unlost.api.calls.submitting.batch import CHUNKS_AT_ONCE, FRACTIONS, HEAVIEST
from unlost.api.frame import Frame
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Submitted
from unlost.settings import Settings
from unlost.task import Submission

KIB = 1024
NDJSON = {"Content-Type": "application/x-ndjson"}


def task(task_id: str, **members: Any) -> str:
    return json.dumps({"taskId": task_id, "payload": {}} | members)


async def array(api: httpx.AsyncClient, *items: str) -> httpx.Response:
    return await api.post("/tasks/batch", content='{"tasks": [' + ", ".join(items) + "]}")


async def lines(api: httpx.AsyncClient, text: str | bytes) -> httpx.Response:
    return await api.post("/tasks/batch", content=text, headers=NDJSON)


def statuses(answer: httpx.Response) -> list[tuple[str | None, int]]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"accepted", "replayed", "rejected", "results"}
    assert body["accepted"] == sum(result["status"] == 202 for result in body["results"])
    assert body["replayed"] == sum(result["status"] == 200 for result in body["results"])
    assert body["rejected"] == len(body["results"]) - body["accepted"] - body["replayed"]
    assert all("detail" in r for r in body["results"] if r["status"] not in (200, 202))
    return [(result["taskId"], result["status"]) for result in body["results"]]


async def test_a_bad_item_rejects_only_itself_and_the_order_is_kept(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.ledger.submit([])
    await api.post("/tasks", content=task("seen"))
    await api.post("/tasks", content=task("taken"))
    items = [
        task("new"),
        task("seen"),
        task("taken", priority=1),
        task("bad", maxRetries=-1),
        task("huge", payload={"x": "a" * 300 * KIB}),
        task("long", payload={"x": "a" * 400 * KIB}),
        "1",
        '{"payload": {}}',
        task("last"),
    ]
    expected = [
        ("new", 202), ("seen", 200), ("taken", 409), ("bad", 422), ("huge", 413), ("long", 413),
        (None, 422), (None, 422), ("last", 202),
    ]  # fmt: skip

    assert statuses(await array(api, *items)) == expected

    assert (await stage.ledger.counts()).accepted == 4
    replays = [(name, 200 if status == 202 else status) for name, status in expected]
    assert statuses(await lines(api, "\n".join(items))) == replays


async def test_an_item_is_the_same_task_as_a_single_submit(api: httpx.AsyncClient) -> None:
    options = {"type": "x", "priority": 3, "maxRetries": 1, "timeoutSeconds": 2.5, "key": "a"}
    await array(api, task("t", payload={"n": 1.0}, **options))

    single = await api.post("/tasks", content=task("t", payload={"n": 1}, **options))

    assert single.status_code == 200


async def test_a_line_that_is_not_json_is_a_400_of_its_own(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    bad = [
        '{"taskId": "x", "payload": {}',
        '{"taskId": "x", "payload": {"a": NaN}}',
        '{"taskId": "x", "taskId": "y", "payload": {}}',
        '{"taskId": "x", "payload": {"a": "\\ud800"}}',
        '{"taskId": "x", "payload": {}} {}',
        '{"taskId": "x", "payload": ' + "[" * 5000,
        "hello",
        "\ufeff" + task("x"),
    ]
    text = "\n".join([task("a"), *bad, task("b")]).encode() + b'\n{"taskId": "\xff"}'

    answer = await lines(api, text)

    assert statuses(answer) == [("a", 202), *[(None, 400)] * len(bad), ("b", 202), (None, 400)]
    assert (await stage.ledger.counts()).accepted == 2


async def test_blank_lines_and_carriage_returns_are_passed_over(api: httpx.AsyncClient) -> None:
    text = f"\r\n\n  \t\r\n{task('a')}\r\n\r\n   {task('b')}  \n\n{task('c')}"

    assert statuses(await lines(api, text)) == [("a", 202), ("b", 202), ("c", 202)]


WHOLE = {
    "a lone surrogate": '{"taskId": "x", "payload": {"a": "\\ud800"}}',
    "NaN": '{"taskId": "x", "payload": {"a": NaN}}',
    "a member twice": '{"taskId": "x", "payload": {"a": 1, "a": 2}}',
    "too deep": '{"taskId": "x", "payload": ' + '{"a":' * 128 + "{}" + "}" * 128 + "}",
    "a syntax error": '{"taskId": "x", "payload": {,}}',
    "twice in what is no task": '[{"a": 1, "a": 2}]',
}


@pytest.mark.parametrize("fault", WHOLE.values(), ids=WHOLE)
async def test_what_is_not_json_in_an_array_fails_the_whole_and_stores_nothing(
    api: httpx.AsyncClient, stage: Stage, fault: str
) -> None:
    problem(await array(api, task("a"), fault, task("b")), 400)

    assert (await stage.ledger.counts()).accepted == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("{", 400),
        ('{"tasks": []} x', 400),
        ('{"tasks": [], "tasks": []}', 400),
        ('{"tasks": [1,]}', 400),
        ("[]", 422),
        ('"x"', 422),
        ("{}", 422),
        ('{"tasks": {}}', 422),
        ('{"tasks": null}', 422),
        ('{"tasks": [], "more": 1}', 422),
        ('{"taskId": "t", "payload": {}}', 422),
    ],
)
async def test_a_body_that_is_no_batch_is_refused(
    api: httpx.AsyncClient, body: str, status: int
) -> None:
    answer = await api.post("/tasks/batch", content=body)

    problem(answer, status)
    if status == 422:
        assert pointers(answer) == ["#"]


async def test_an_empty_batch_is_200_with_zeros(api: httpx.AsyncClient) -> None:
    nothing = {"accepted": 0, "replayed": 0, "rejected": 0, "results": []}

    assert (await array(api)).json() == nothing
    assert (await lines(api, "")).json() == nothing
    assert (await lines(api, "\n \r\n")).json() == nothing


@pytest.mark.parametrize(
    "name", ["application/x-ndjson", "application/ndjson", "application/JSONL"]
)
async def test_lines_may_be_called_by_each_of_their_names(
    api: httpx.AsyncClient, name: str
) -> None:
    answer = await api.post(
        "/tasks/batch",
        content=b'{"taskId": "a", "payload": {}}\n{}',
        headers={"Content-Type": name},
    )
    assert [one["status"] for one in answer.json()["results"]] == [202, 422]


async def test_a_refusal_of_another_type_names_all_that_are_taken(api: httpx.AsyncClient) -> None:
    refused = await api.post("/tasks/batch", content=b"{}", headers={"Content-Type": "text/csv"})
    detail = problem(refused, 415)["detail"]
    assert detail == (
        "the body must be application/json, application/*+json, application/x-ndjson,"
        " application/ndjson or application/jsonl"
    )
    lines = await api.post("/tasks", content=b"{}", headers={"Content-Type": "application/jsonl"})
    assert (
        problem(lines, 415)["detail"] == "the body must be application/json or application/*+json"
    )


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-ndjson; charset=latin-1"])
async def test_another_media_type_is_415(api: httpx.AsyncClient, content_type: str) -> None:
    headers = {"Content-Type": content_type}

    problem(await api.post("/tasks/batch", content=task("a"), headers=headers), 415)


async def test_ten_thousand_tasks_are_taken_and_one_more_is_413(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    items = [task(f"t{number}") for number in range(10_001)]

    problem(await array(api, *items), 413)
    problem(await lines(api, "\n".join(items)), 413)
    assert (await stage.ledger.counts()).accepted == 0

    assert statuses(await array(api, *items[:-1])) == [(f"t{n}", 202) for n in range(10_000)]
    assert (await stage.ledger.counts()).accepted == 10_000
    assert statuses(await lines(api, "\n".join(items[:-1]))) == [
        (f"t{n}", 200) for n in range(10_000)
    ]


async def test_an_id_twice_in_one_batch_is_a_replay_or_a_conflict_with_the_first(
    api: httpx.AsyncClient,
) -> None:
    filler = [task(f"f{number}") for number in range(2_500)]

    answer = await array(api, task("t"), task("t"), *filler, task("t"), task("t", priority=1))

    found = statuses(answer)
    assert found[:2] == [("t", 202), ("t", 200)]
    assert found[-2:] == [("t", 200), ("t", 409)]
    assert (await api.get("/tasks?limit=1&idPrefix=t")).json()["tasks"][0]["taskId"] == "t"


async def test_a_body_over_64_mib_is_413(api: httpx.AsyncClient) -> None:
    problem(await api.post("/tasks/batch", content=b" " * (64 * KIB * KIB + 1)), 413)


class Failing(MemoryLedger):
    """A ledger that cannot store the tasks of one chunk."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        if any(new.task_id == "t1500" for new in submissions):
            raise LedgerUnavailable
        return await super().submit(submissions)


async def test_what_cannot_be_stored_in_time_is_503_and_the_others_stand(clock: Clock) -> None:
    ledger = Failing(clock)
    transport = httpx.ASGITransport(create_app(ledger, Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        found = statuses(await array(api, *(task(f"t{number}") for number in range(3_000))))

    assert [status for _, status in found] == [202] * 1000 + [503] * 1000 + [202] * 1000
    assert (await ledger.counts()).accepted == 2_000


class Down(MemoryLedger):
    """A ledger that answers nothing for long."""

    calls = 0

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        self.calls += 1
        await asyncio.sleep(0.05)
        raise LedgerUnavailable("nobody there")


async def test_a_batch_does_not_wait_for_a_dead_ledger_once_for_each_chunk(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("unlost.api.calls.submitting.batch.IN_VAIN", 0.02)
    ledger = Down(clock)
    transport = httpx.ASGITransport(create_app(ledger, Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        answer = await array(api, *(task(f"t{number}") for number in range(10_000)))

    assert [status for _, status in statuses(answer)] == [503] * 10_000
    assert ledger.calls == CHUNKS_AT_ONCE
    assert "does not answer a write" in answer.json()["results"][-1]["detail"]
    told = [(vars(line)["why"], vars(line)["count"]) for line in caplog.records]
    assert told == [("nobody there", 1)], "told at once, and not again so soon"


async def test_others_are_served_while_a_large_batch_is_read(api: httpx.AsyncClient) -> None:
    payload = {"numbers": [number / 7 for number in range(1_000)]}
    body = "\n".join(task(f"t{number}", payload=payload) for number in range(300))
    batch = asyncio.create_task(lines(api, body))
    served = 0
    while not batch.done():
        assert (await api.get("/livez")).status_code == 200
        await asyncio.sleep(0)
        served += 1

    assert len(statuses(await batch)) == 300
    assert served > 20


@pytest.mark.parametrize(("size", "fractions"), [(10, 0), (1_000, 0), (1_000, 300), (90_000, 1)])
async def test_what_is_read_in_one_piece_takes_little_time(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, size: int, fractions: int
) -> None:
    pieces: list[Sequence[bytes]] = []
    read_plain = Frame.read_plain

    def watched(self: Frame, bodies: Sequence[bytes], by: str | None) -> object:
        pieces.append(bodies)
        return read_plain(self, bodies, by)

    monkeypatch.setattr(Frame, "read_plain", watched)
    payload = {"text": "x" * size, "numbers": [number + 0.5 for number in range(fractions)]}
    body = "\n".join(task(f"t{number}", payload=payload) for number in range(60))
    assert {status for _, status in statuses(await lines(api, body))} == {202}
    assert all(sum(map(len, bodies)) <= HEAVIEST for bodies in pieces)
    assert all(sum(body.count(b".") for body in bodies) <= FRACTIONS for bodies in pieces)
    assert bool(pieces) == (fractions < FRACTIONS / 49)
