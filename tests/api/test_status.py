"""`/stats`, `/audit`, health and metrics: how it stands, and that it adds up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence

import httpx
import pytest

from tests.api.checks import problem
from tests.conformance.stage import Clock, Stage
from unlost.api.app import create_app
from unlost.api.calls.status import Rates
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import EVERYTHING, Counts, Part, Submitted
from unlost.settings import Settings
from unlost.task import Record, State, Submission
from unlost.tracing import OFF


async def test_the_counts_add_up_in_every_state(api: httpx.AsyncClient, stage: Stage) -> None:
    for state in State:
        await stage.into(state, f"t-{state}")
    await stage.submit("unhandled", type="nobody")

    stats = (await api.get("/stats")).json()

    assert stats.keys() == {
        "accepted", "outstanding", "lost", "states", "rates", "unhandledTypes",
    }  # fmt: skip
    assert stats["accepted"] == 7
    assert stats["outstanding"] == 4
    assert stats["lost"] == 0
    assert stats["states"] == {state.value: 2 if state is State.QUEUED else 1 for state in State}
    assert sum(stats["states"].values()) == stats["accepted"]
    assert stats["rates"].keys() == {"submittedPerSecond", "settledPerSecond"}


async def test_all_six_states_are_there_when_nothing_is(api: httpx.AsyncClient) -> None:
    stats = (await api.get("/stats")).json()

    assert stats["states"] == {state.value: 0 for state in State}
    assert stats["unhandledTypes"] == []
    assert stats["rates"] == {"submittedPerSecond": 0.0, "settledPerSecond": 0.0}


async def test_types_that_wait_with_no_worker_for_them_are_named(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("a", type="handled")
    await stage.submit("b", type="unhandled")
    await stage.claim(types=("handled",))

    assert (await api.get("/stats")).json()["unhandledTypes"] == ["unhandled"]


def counts(accepted: int, settled: int) -> Counts:
    return Counts(accepted, settled, {}, 0)


def test_rates_are_taken_over_the_last_ten_seconds() -> None:
    rates = Rates()

    assert rates.observe(100.0, counts(0, 0)).submitted_per_second == 0
    assert rates.observe(102.0, counts(10, 4)).submitted_per_second == 5
    assert rates.observe(102.0, counts(10, 4)).settled_per_second == 2
    assert rates.observe(112.0, counts(30, 24)).submitted_per_second == 2
    assert rates.observe(122.0, counts(30, 24)).submitted_per_second == 0


async def test_the_audit_says_what_the_records_say(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.bury("a")
    await stage.submit("b")

    audit = (await api.get("/audit")).json()

    assert audit["ok"] is True
    assert audit["lost"] == 0
    assert audit["violations"] == []
    assert audit["accepted"] == 2
    assert audit["states"]["dead"] == 1


async def test_those_who_ask_for_an_audit_while_one_runs_get_the_same(clock: Clock) -> None:
    class Counting(MemoryLedger):
        looked = 0

        async def counts(self) -> Counts:
            self.looked += 1
            await asyncio.sleep(0)
            return await super().counts()

    alone, together = Counting(clock), Counting(clock)
    for ledger, times in ((alone, 1), (together, 8)):
        transport = httpx.ASGITransport(create_app(ledger, Settings(), clock))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
            answers = await asyncio.gather(*(api.get("/audit") for _ in range(times)))
        assert all(answer.json()["ok"] for answer in answers)

    assert together.looked == alone.looked


async def test_it_is_alive_and_ready(api: httpx.AsyncClient) -> None:
    assert (await api.get("/livez")).status_code == 200
    assert (await api.get("/readyz")).status_code == 200


class Down(MemoryLedger):
    """A ledger that cannot answer."""

    async def ping(self) -> None:
        raise LedgerUnavailable

    async def counts(self) -> Counts:
        raise LedgerUnavailable

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        raise LedgerUnavailable

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        raise LedgerUnavailable


class Hanging(MemoryLedger):
    async def ping(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("kind", [Down, Hanging])
async def test_it_is_not_ready_while_the_ledger_answers_no_write(
    clock: Clock, kind: type[MemoryLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlost.api.calls.status.READY_WITHIN", 0.01)
    transport = httpx.ASGITransport(create_app(kind(clock), Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        answer = await api.get("/readyz")

        assert "ledger" in problem(answer, 503)["detail"]
        assert int(answer.headers["retry-after"]) >= 0
        assert (await api.get("/livez")).status_code == 200


class Written(MemoryLedger):
    """A ledger that counts the writes by which it shows that it answers."""

    writes = 0

    async def ping(self) -> None:
        self.writes += 1
        await asyncio.sleep(0)


async def test_those_who_ask_at_once_whether_it_is_ready_share_one_write(
    clock: Clock,
) -> None:
    ledger = Written(clock)
    transport = httpx.ASGITransport(create_app(ledger, Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        for writes in (1, 2):
            answers = await asyncio.gather(*(api.get("/readyz") for _ in range(50)))
            assert {answer.status_code for answer in answers} == {200}
            assert ledger.writes == writes


async def test_the_page_of_the_api_runs_no_script_and_loads_nothing_from_elsewhere(
    api: httpx.AsyncClient,
) -> None:
    answer = await api.get("/docs")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r'(src|href)="(https?:)?//', answer.text)
    assert not re.search(r"<script|\son[a-z]+=|style=", answer.text)


async def test_a_ledger_that_does_not_answer_is_503_with_retry_after(clock: Clock) -> None:
    transport = httpx.ASGITransport(create_app(Down(clock), Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        for method, path, body in (
            ("POST", "/tasks", '{"taskId": "t", "payload": {}}'),
            ("GET", "/tasks/t", None),
            ("GET", "/stats", None),
            ("GET", "/metrics", None),
            ("GET", "/audit", None),
            ("POST", "/dead-letters/t/redrive", None),
        ):
            answer = await api.request(method, path, content=body)
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) >= 0


class Broken(MemoryLedger):
    async def counts(self) -> Counts:
        raise RuntimeError("secret of /somewhere/inside.py")


async def test_what_nobody_expected_is_500_without_details_and_logged(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    transport = httpx.ASGITransport(create_app(Broken(clock), Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        answer = await api.get("/stats")

    problem(answer, 500)
    assert "secret" not in answer.text
    [record] = [record for record in caplog.records if record.name == "unlost.api"]
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])


class Slow(MemoryLedger):
    """A ledger that stores nothing until it is told to."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.go = asyncio.Event()

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        await self.go.wait()
        return await super().submit(submissions)


async def test_more_submissions_at_once_than_can_wait_are_503(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "unlost.api.calls.submitting.intake.Intake.__init__.__defaults__", (3, OFF, 0.0)
    )
    ledger = Slow(clock)
    transport = httpx.ASGITransport(create_app(ledger, Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        waiting = [
            asyncio.create_task(api.post("/tasks", json={"taskId": name, "payload": {}}))
            for name in "abc"
        ]
        await asyncio.sleep(0.01)
        refused = await api.post("/tasks", json={"taskId": "d", "payload": {}})
        ledger.go.set()
        answers = await asyncio.gather(*waiting)

        problem(refused, 503)
        assert int(refused.headers["retry-after"]) >= 0
        assert [answer.status_code for answer in answers] == [202, 202, 202]
        again = await api.post("/tasks", json={"taskId": "d", "payload": {}})
        assert again.status_code == 202
    assert (await ledger.counts()).accepted == 4
