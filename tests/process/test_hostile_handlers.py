"""Handlers that do what they should not: each time an attempt with a reason, and a whole log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.process.service import WORKERS, Service, Working, until
from unlost.task import Outcome, Record, State

Seen = tuple[dict[str, Record], list[dict[str, Any]], int]

CALM = (
    "exits", "exits sync", "interrupts", "raises base", "raises cancelled", "returns object",
    "prints", "writes", "starts noise", "forks", "forks and sleeps", "forks sync", "hangs",
)  # fmt: skip
VIOLENT = (
    "hangs sync", "spins sync", "blocks", "holds the lock", "faults", "exits hard",
)  # fmt: skip


def reports(running: Service) -> list[dict[str, Any]]:
    return [one for one in running.logs() if one["event"] == "task.dead_lettered"]


async def run(
    working: Working, folder: Path, kinds: tuple[str, ...], timeout: float, **settings: Any
) -> Seen:
    """Have one task of each kind end; the tasks, the logs, and the service's exit status."""
    handler: dict[str, Any] = {"handler": "process_app:handlers", "max_retries": 0, "lease": 600}
    async with working(folder, **(handler | settings)) as running:
        for kind in kinds:
            ends_at_once = kind in ("faults", "exits hard")  # and is found lost a little later
            await running.submit(kind, type=kind, timeout=30.0 if ends_at_once else timeout)
        records = {kind: await running.ended(kind) for kind in kinds}
        dead = {kind for kind, record in records.items() if record.state is State.DEAD}
        await until(lambda: dead <= {one["taskId"] for one in reports(running)})
        await asyncio.sleep(0.6)  # what was printed last
        return records, running.logs(), await running.stop()


@pytest.fixture(scope="module", params=WORKERS)
def working(request: pytest.FixtureRequest) -> Working:
    """Each kind of worker."""
    chosen: Working = request.param
    return chosen


@pytest.fixture(scope="module")
def calm(working: Working, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Those that leave their worker alive, all in one process."""
    return asyncio.run(run(working, tmp_path_factory.mktemp("calm"), CALM, 3.0))


@pytest.fixture(scope="module")
def violent(working: Working, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Those that do not, one at a time in a process."""
    folder = tmp_path_factory.mktemp("violent")
    return asyncio.run(run(working, folder, VIOLENT, 0.5, workers=2, concurrency=1))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("exits", "SystemExit"),
        ("exits sync", "SystemExit"),
        ("interrupts", "KeyboardInterrupt"),
        ("raises base", "BaseException"),
        ("raises cancelled", "asyncio.exceptions.CancelledError"),
        ("returns object", "ResultNotJson"),
    ],
)
def test_every_exception_is_a_failed_attempt_with_its_name(
    calm: Seen, kind: str, name: str
) -> None:
    record = calm[0][kind]
    assert record.state is State.DEAD
    assert [one.outcome for one in record.attempts] == [Outcome.FAILED]
    assert record.error is not None
    assert record.error.type == name


def test_a_handler_that_hangs_is_timed_out(calm: Seen) -> None:
    assert [one.outcome for one in calm[0]["hangs"].attempts] == [Outcome.TIMED_OUT]


@pytest.mark.parametrize("kind", ["forks", "forks and sleeps", "forks sync"])
def test_a_child_that_a_handler_forked_is_no_worker(calm: Seen, kind: str) -> None:
    record, works = calm[0][kind], calm[0]["prints"]
    assert record.state is State.SUCCEEDED
    assert works.state is State.SUCCEEDED
    assert record.attempt_count == 1


def test_all_of_that_leaves_the_worker_alive_and_the_service_ends_in_order(calm: Seen) -> None:
    _, log, status = calm
    assert [line for line in log if line["event"] == "process.ended"] == []
    assert status == 0


def test_what_a_handler_prints_is_in_the_log_with_its_task(calm: Seen) -> None:
    records, log, _ = calm
    assert records["prints"].state is State.SUCCEEDED
    printed = [line for line in log if line.get("taskId") == "prints"]
    texts = [line["text"] for line in printed if line["event"] == "handler.output"]
    assert sum(text.count("x") for text in texts) == 1_000_000
    assert max(len(text) for text in texts) <= 16 * 1024
    assert {"words with spaces", '{"event": "fake"}', "half a line", "to stderr"} <= set(texts)
    assert "a record of its own" in [line.get("message") for line in printed]
    assert [line for line in log if line["event"] == "fake"] == []


def test_what_goes_around_python_is_in_the_log_too(calm: Seen) -> None:
    records, log, _ = calm
    assert records["writes"].state is State.SUCCEEDED
    assert records["starts noise"].state is State.SUCCEEDED
    texts = [line["text"] for line in log if line["event"] == "handler.output"]
    assert {"raw \ufffd\ufffd bytes", "through the buffer", "out", "err"} <= set(texts)
    assert sum(text.count("y") for text in texts if set(text) == {"y"}) == 300_000
    assert '{"half": ' in texts


@pytest.mark.parametrize("kind", ["hangs sync", "spins sync", "blocks", "holds the lock"])
def test_a_handler_that_cannot_be_stopped_is_timed_out_with_its_process(
    violent: Seen, kind: str
) -> None:
    record = violent[0][kind]
    assert [one.outcome for one in record.attempts] == [Outcome.TIMED_OUT]
    assert record.error is not None
    assert record.error.type == "AttemptTimedOut"


@pytest.mark.parametrize("kind", ["faults", "exits hard"])
def test_a_handler_that_ends_its_process_loses_its_attempt(violent: Seen, kind: str) -> None:
    record = violent[0][kind]
    assert record.state is State.DEAD
    assert [one.outcome for one in record.attempts] == [Outcome.LOST]
    assert record.error is not None
    assert record.error.type == "WorkerLost"


def test_the_last_words_of_a_process_that_crashed_are_in_the_log(violent: Seen) -> None:
    texts = [line["text"] for line in violent[1] if line["event"] == "handler.output"]
    assert any("Segmentation fault" in text for text in texts)


def test_each_death_is_reported_once(calm: Seen, violent: Seen) -> None:
    for records, log, _ in (calm, violent):
        reported = [line for line in log if line["event"] == "task.dead_lettered"]
        dead = [name for name, record in records.items() if record.state is State.DEAD]
        assert sorted(line["taskId"] for line in reported) == sorted(dead)
        for line in reported:
            assert set(line) == {
                "at", "level", "event", "taskId", "type", "payload", "error", "attemptCount",
                "submittedAt",
            }  # fmt: skip
            assert json.dumps(line["payload"]) == "{}"


def test_the_service_ends_in_order_after_the_violent_ones_too(violent: Seen) -> None:
    assert violent[2] == 0


async def test_a_worker_with_a_stuck_handler_is_replaced_at_once(
    tmp_path: Path, working: Working
) -> None:
    """It still waits for its neighbours, but nobody has to wait for it."""
    settings: dict[str, Any] = {"handler": "process_app:handlers", "concurrency": 4, "grace": 1}
    async with working(tmp_path, **settings) as running:
        await running.submit("neighbour", type="works", payload='{"seconds":20}')
        await running.submit("stuck", type="hangs sync", timeout=0.5)
        await running.running("neighbour", "stuck")
        await until(lambda: len(running.workers()) == 2)
        await running.submit("next", type="works")
        assert (await running.ended("next", within=10)).state is State.SUCCEEDED
        assert await running.stop() == 0
