"""Both clients on a real service, call by call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest

from tests.cli.running import Place
from unlost import Client, Conflict, NotFound, Refused
from unlost.client import NewTask, TaskEvent
from unlost.task import State

REJECTED = {"simulate": {"outcome": "reject"}}


def a_type() -> str:
    """A type of the test's own: the service is all tests'."""
    return f"type-{uuid4().hex}"


def dead(client: Client, type_: str = "default") -> str:
    task = client.submit(REJECTED, type=type_)
    assert client.wait(task.task_id, 10).state is State.DEAD
    return task.task_id


def test_a_task_is_submitted_awaited_and_shown(client: Client) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    payload = {"n": 10**40, "x": 0.1, "ä": [None, True, "\u2028"]}
    task = client.submit(payload, run_at=at, max_retries=1, type=a_type(), key="ann")
    assert task.payload == payload
    ended = client.wait(task.task_id, 10)
    assert (ended.state, ended.ended, ended.key) == ("succeeded", True, "ann")
    assert [one.outcome for one in ended.attempts] == ["succeeded"]
    assert client.get(task.task_id) == ended


def test_the_same_again_is_the_same_and_another_a_conflict(client: Client) -> None:
    task_id = uuid4().hex
    first = client.submit({"a": 1, "b": 2.0}, task_id)
    assert client.submit({"b": 2, "a": 1}, task_id).submitted_at == first.submitted_at
    with pytest.raises(Conflict) as end:
        client.submit({"a": 2}, task_id)
    assert end.value.task_id == task_id


def test_a_task_that_is_not_there_is_not_found(client: Client) -> None:
    for task_id in ("nope", "..", "a/b?c#d", "\x01"):
        with pytest.raises(NotFound):
            client.get(task_id)


def test_what_is_wrong_is_refused_with_the_faults(client: Client) -> None:
    with pytest.raises(Refused) as end:
        client.submit({}, max_retry=1, priority=1000)  # type: ignore[call-arg]
    assert {one.pointer for one in end.value.problem.errors} == {"#/maxRetry", "#/priority"}


def test_an_id_that_is_given_is_sent_as_it_is(client: Client) -> None:
    for call in (
        lambda: client.submit({}, ""),
        lambda: client.redrives.begin("", all=True),
        lambda: client.schedules.run("nightly", ""),
    ):
        with pytest.raises(Refused):
            call()


def test_a_wait_ends_with_the_task_as_it_is(client: Client) -> None:
    task = client.submit({}, delay_seconds=3600)
    began = time.monotonic()
    assert client.wait(task.task_id, 0.2).state is State.QUEUED
    assert 0.2 <= time.monotonic() - began < 5
    assert client.cancel(task.task_id, by="ann", reason="twice").history[-1].by == "ann"
    assert client.cancel(task.task_id).state is State.CANCELLED


def test_a_cancel_of_what_has_ended_is_a_conflict(client: Client) -> None:
    with pytest.raises(Conflict):
        client.cancel(dead(client))


def test_many_tasks_have_their_results_in_order(client: Client) -> None:
    prefix = uuid4().hex

    def task(number: int, name: int) -> NewTask:
        return {"task_id": f"{prefix}-{name}", "payload": {"n": number}, "delay_seconds": 3600}

    found = list(client.submit_many(task(number, number) for number in range(2_345)))
    assert [one.task_id for one in found] == [f"{prefix}-{number}" for number in range(2_345)]
    assert {(one.status, one.accepted, one.replayed) for one in found} == {(202, True, False)}
    assert len({one.task_id for one in client.tasks(id_prefix=prefix)}) == 2_345
    again = client.submit_many([task(0, 0), task(1, 0)])
    assert [one.status for one in again] == [200, 409]


def test_one_bad_task_rejects_only_itself(client: Client) -> None:
    not_json = {"payload": {"n": float("nan")}}
    tasks: list[Any] = [{"payload": {}}, {}, not_json, {"payload": {}, "x": 1}]
    assert [one.status for one in client.submit_many(tasks)] == [202, 422, 422, 422]
    assert list(client.submit_many([])) == []


def test_tasks_are_read_as_they_are_needed(client: Client) -> None:
    read: list[int] = []

    def endless() -> Iterator[NewTask]:
        for number in count():
            read.append(number)
            yield {"payload": {"n": number}, "delay_seconds": 3600}

    results = client.submit_many(endless())
    assert [one.status for one in islice(results, 3)] == [202] * 3
    assert len(read) <= 5_000


def test_what_breaks_while_it_is_read_is_raised_as_it_is(client: Client) -> None:
    def broken() -> Iterator[NewTask]:
        yield {"payload": {}}
        raise LookupError("the file is gone")

    with pytest.raises(LookupError, match="the file is gone"):
        list(client.submit_many(broken()))


def test_lists_go_over_all_pages(client: Client) -> None:
    type_ = a_type()
    tasks: list[NewTask] = [
        {"payload": {"n": number}, "type": type_, "delay_seconds": 3600} for number in range(1_100)
    ]
    list(client.submit_many(tasks))
    newest = next(client.tasks(type=type_))
    assert newest.payload is None
    assert len(list(client.tasks(type=type_))) == 1_100
    assert len(list(client.tasks(type=type_, limit=1_050))) == 1_050
    assert len(list(client.tasks(type=type_, until=datetime(2020, 1, 1, tzinfo=UTC)))) == 0
    with_payload = next(client.tasks(type=type_, include=["payload", "attempts"]))
    assert with_payload.payload is not None
    assert with_payload.payload["n"] in range(1_100)


def test_a_dead_letter_is_redriven_with_another_payload_or_discarded(client: Client) -> None:
    type_ = a_type()
    first, second = dead(client, type_), dead(client, type_)
    [letter, _] = client.dead_letters(type=type_, error="Reject", include="attempts")
    assert letter.task_id == second
    assert letter.error is not None
    assert letter.error.type == "Reject"
    assert client.redrive(first, {"mended": True}, by="ann").state is State.QUEUED
    assert client.wait(first, 10).payload == {"mended": True}
    client.discard(second, reason="old")
    assert client.get(second).history[-1].event == "discard"
    assert list(client.dead_letters(type=type_)) == []
    for call in (client.redrive, client.discard):
        with pytest.raises(Conflict):
            call(first)


def test_redrives_are_begun_looked_at_listed_and_stopped(client: Client) -> None:
    type_ = a_type()
    task_id = dead(client, type_)
    begun = client.redrives.begin(type=type_, canary=0, tolerate=None)
    while client.get(task_id).redrive_count == 0:
        time.sleep(0.01)
    again = client.redrives.begin(begun.id, type=type_, canary=0, tolerate=None)
    assert (again.id, again.started_at) == (begun.id, begun.started_at)
    with pytest.raises(Conflict):
        client.redrives.begin(begun.id, all=True)
    assert client.redrives.get(begun.id).selected == 1
    assert begun.id in [one.id for one in client.redrives.list()]
    assert client.redrives.stop(begun.id).id == begun.id
    with pytest.raises(NotFound):
        client.redrives.get("nope")
    with pytest.raises(Refused):
        client.redrives.begin()


def test_schedules_are_set_shown_run_paused_and_deleted(client: Client) -> None:
    name, type_ = f"s-{uuid4().hex}", a_type()
    made = client.schedules.set(name, cron="30 2 * * *", timezone="Europe/Berlin", type=type_,
                                payload={"some_key": 1}, grace_seconds=5)  # fmt: skip
    assert (made.cron, made.grace_seconds, len(made.next)) == ("30 2 * * *", 5, 5)
    task = client.schedules.run(name, by="ann")
    assert task.schedule is not None
    assert task.schedule.id == name
    assert client.schedules.run(name, task.task_id).task_id == task.task_id
    assert client.schedules.pause(name).paused
    assert client.schedules.get(name, ticks=True).paused
    assert not client.schedules.resume(name).paused
    listed = [one for one in client.schedules.list(payload=True) if one.id == name]
    assert [one.payload for one in listed] == [{"some_key": 1}]
    client.schedules.delete(name, by="ann")
    client.schedules.delete(name)
    with pytest.raises(NotFound):
        client.schedules.get(name)


def test_types_are_paused_resumed_and_changed(client: Client) -> None:
    type_ = a_type()
    paused = client.types.pause(type_, by="ann", reason="down").pause
    assert paused is not None
    assert (paused.by, paused.reason) == ("ann", "down")
    assert client.types.resume(type_).pause is None
    changed = client.types.change(type_, limit=4, key_limit=2, breaker={"minimum": 20})
    assert changed.breaker is not None
    assert (changed.limit, changed.breaker.minimum) == (4, 20)
    assert client.types.change(type_, limit=None).limit is None
    assert type_ in [one.type for one in client.types.list()]
    client.types.change(type_, key_limit=None, breaker=None)


def test_stats_are_the_counters(client: Client) -> None:
    before = client.stats()
    client.wait(client.submit({}).task_id, 10)
    after = client.stats()
    assert after.accepted == before.accepted + 1
    assert after.lost == 0
    assert set(after.states) == {state.value for state in State}


def test_steps_are_shown_and_forgotten_and_followers_listed(client: Client) -> None:
    task_id = dead(client)
    assert client.get(task_id, include="steps").steps == ()
    assert client.redrive(task_id, {"a": 1}, forget=True).redrive_count == 1
    assert list(client.tasks(parent=task_id)) == []
    again = dead(client)
    assert client.redrive(again, forget=iter(["mail"])).redrive_count == 1


def test_events_are_told_as_they_happen(client: Client, service: Place) -> None:
    ids: list[str] = []
    seen = []
    with Client(service.url) as other, submitting(other):
        for event in client.events():
            if not ids:  # the first event, of whatever task, shows that it follows
                ids.append(other.submit({}).task_id)
            if isinstance(event, TaskEvent) and event.task_id == ids[0]:
                seen.append(event.state.value)
                if event.state is State.SUCCEEDED:
                    break
    assert seen == ["queued", "running", "succeeded"]


@contextmanager
def submitting(client: Client) -> Iterator[None]:
    """Something happens all the time."""
    stop = Event()

    def submit() -> None:
        while not stop.wait(0.05):
            client.submit({})

    thread = Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
