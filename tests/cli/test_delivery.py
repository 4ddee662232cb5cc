"""How batches get to a service that is away, busy or restarting."""

from __future__ import annotations

import json
import socket

import pytest

from tests.cli.scripted import Reply, batch_reply, scripted
from unlost.cli.client.connection import Connection, NoService, Refused, Service
from unlost.cli.client.delivery import FIRST_PATIENCE, Clock, Courier
from unlost.cli.client.ndjson import Item
from unlost.cli.failures import Failed

ITEMS = [Item(1, "a", b"first", 0), Item(2, "b", b"second", 0)]


class Time:
    """Virtual time: a sleep takes none."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def clock(self) -> Clock:
        return Clock(lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def statuses(url: str, time: Time, patience: float = 60) -> list[int]:
    with Service(Connection(url=url)) as service:
        answers = Courier(service, patience, time.clock()).deliver(ITEMS)
    return [answer.status for answer in answers]


def test_a_busy_service_is_asked_again_when_it_says() -> None:
    time = Time()
    busy = Reply(429, headers={"retry-after": "7"})
    with scripted(busy, batch_reply(202, 202)) as script:
        assert statuses(script.url, time) == [202, 202]
    assert time.sleeps == [7]


def test_a_broken_connection_is_tried_again_with_growing_waits() -> None:
    time = Time()
    gone = Reply(hang_up=True)
    with scripted(gone, gone, gone, batch_reply(202, 200)) as script:
        assert statuses(script.url, time) == [202, 200]
        assert script.bodies == [b"first\nsecond"] * 4
    assert len(time.sleeps) == 3
    assert 0.1 <= time.sleeps[0] <= 0.2
    assert 0.4 <= time.sleeps[2] <= 0.8


def test_only_what_was_not_stored_in_time_is_sent_again() -> None:
    time = Time()
    with scripted(batch_reply(503, 409), batch_reply(202)) as script:
        assert statuses(script.url, time) == [202, 409]
        assert script.bodies == [b"first\nsecond", b"first"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_task_of_a_batch_that_is_refused_just_now_is_sent_again_when_the_answer_says(
    status: int,
) -> None:
    time = Time()
    some = batch_reply(202, status)
    some.headers["retry-after"] = "9"
    with scripted(some, batch_reply(202)) as script:
        assert statuses(script.url, time) == [202, 202]
    assert time.sleeps == [9]


def test_patience_starts_anew_with_each_progress() -> None:
    time = Time()
    slow = Reply(503, headers={"retry-after": "20"})
    replies = (batch_reply(503, 202), slow, slow, batch_reply(202))
    with scripted(*replies) as script:
        assert statuses(script.url, time, patience=41) == [202, 202]


def test_patience_ends_with_the_last_reason() -> None:
    time = Time()
    busy = Reply(429, b'{"detail": "over the rate"}', {"retry-after": "20"})
    with (
        scripted(*[busy] * 10) as script,
        pytest.raises(Refused, match=r"over the rate \(429\)"),
    ):
        statuses(script.url, time, patience=50)
    assert time.now <= 50


def test_what_keeps_the_tasks_of_a_batch_from_being_stored_is_told() -> None:
    body = {"results": [{"taskId": one, "status": 503, "detail": "no right"} for one in "ab"]}
    replies = [Reply(200, json.dumps(body).encode())] * 20
    with scripted(*replies) as script, pytest.raises(Refused, match=r"no right \(503\)"):
        statuses(script.url, Time(), patience=5)


def test_a_service_that_never_answered_is_not_waited_for_long() -> None:
    time = Time()
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        with pytest.raises(NoService, match="no service at http://127"):
            statuses(url, time, patience=1000)
    assert 0 < time.now <= FIRST_PATIENCE


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500])
def test_a_refusal_that_would_stay_is_not_repeated(status: int) -> None:
    time = Time()
    with scripted(Reply(status)) as script, pytest.raises(Refused):
        statuses(script.url, time)
    assert time.sleeps == []


def test_an_answer_that_forgets_a_task_is_no_answer() -> None:
    with scripted(batch_reply(202)) as script, pytest.raises(Failed, match="1 of 2 tasks"):
        statuses(script.url, Time())
