"""Requests and answers that are cut off on their way: what a call does is done once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.running import running
from tests.client.clients import Made
from tests.client.cutting import Cutting, Fate
from unlost import Client, Conflict, Unavailable
from unlost.client import NewTask
from unlost.task import State

CUTS = [fate for fate in Fate if fate is not Fate.PASSES]


@pytest.fixture
def far(made: Made, between: Cutting) -> Client:
    """A client that something is in front of, of each kind."""
    return made(between.url)


def dead(client: Client) -> str:
    task = client.submit({"simulate": {"outcome": "reject"}})
    assert client.wait(task.task_id, 10).state is State.DEAD
    return task.task_id


@pytest.mark.parametrize("fate", CUTS)
def test_a_submit_is_made_again_with_the_same_id(far: Client, between: Cutting, fate: Fate) -> None:
    before = far.stats().accepted
    between.fates = [fate]
    task = far.submit({"n": 1})
    assert between.asked[-2:] == ["POST /tasks"] * 2
    assert far.get(task.task_id).payload == {"n": 1}
    assert far.stats().accepted == before + 1


def test_a_restart_of_the_service_in_the_middle_of_many(made: Made, tmp_path: Path) -> None:
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    tasks: Iterator[NewTask] = (
        {"task_id": str(number), "payload": {"n": number}, "delay_seconds": 3600}
        for number in range(6_000)
    )
    with running(ledger=ledger) as place:
        client = made(place.url)
        results = client.submit_many(tasks)
        found = [next(results) for _ in range(1_000)]
    with running(place.port, ledger):
        found += results
        assert [one.task_id for one in found] == [str(number) for number in range(6_000)]
        assert all(one.accepted for one in found)
        assert client.stats().accepted == 6_000


@pytest.mark.parametrize("fate", CUTS)
def test_many_are_each_submitted_once(far: Client, between: Cutting, fate: Fate) -> None:
    before = far.stats().accepted
    between.fates = [fate]
    tasks: list[NewTask] = [{"payload": {"n": number}} for number in range(50)]
    found = list(far.submit_many(tasks))
    assert len({one.task_id for one in found}) == 50
    assert all(one.accepted for one in found)
    assert far.stats().accepted == before + 50


def test_a_redrive_and_a_discard_are_done_once(far: Client, between: Cutting) -> None:
    first, second = dead(far), dead(far)
    between.fates = [Fate.NO_ANSWER]
    assert far.redrive(first, {"mended": True}).redrive_count == 1
    assert far.wait(first, 10).redrive_count == 1
    between.fates = [Fate.HALF_AN_ANSWER]
    far.discard(second)
    assert [one.event for one in far.get(second).history] == ["discard"]


def test_a_cancel_is_done_once_and_a_late_one_is_a_conflict(far: Client, between: Cutting) -> None:
    task = far.submit({}, delay_seconds=3600)
    between.fates = [Fate.NO_ANSWER]
    assert [one.event for one in far.cancel(task.task_id).history] == ["cancel"]
    ended = dead(far)
    between.fates = [Fate.NO_ANSWER]
    with pytest.raises(Conflict):
        far.cancel(ended)
    assert between.asked[-1] == f"GET /tasks/{ended}"


def test_a_run_of_a_schedule_and_a_redrive_are_begun_once(far: Client, between: Cutting) -> None:
    name = f"s-{uuid4().hex}"
    far.schedules.set(name, every=86_400, type=name, payload={})
    between.fates = [Fate.NO_ANSWER]
    task = far.schedules.run(name)
    assert [one.task_id for one in far.tasks(type=name)] == [task.task_id]
    between.fates = [Fate.NO_ANSWER]
    begun = far.redrives.begin(type=name)
    assert [one.id for one in far.redrives.list()].count(begun.id) == 1
    far.schedules.delete(name)


def test_a_list_goes_on_behind_a_page_that_was_cut_off(far: Client, between: Cutting) -> None:
    type_ = uuid4().hex
    tasks: list[NewTask] = [
        {"payload": {}, "type": type_, "delay_seconds": 3600} for _ in range(1_001)
    ]
    ids = {one.task_id for one in far.submit_many(tasks)}
    between.fates = [Fate.HALF_AN_ANSWER, Fate.PASSES, Fate.NO_ANSWER]
    found = [one.task_id for one in far.tasks(type=type_)]
    assert len(found) == 1_001
    assert set(found) == ids


def test_a_wait_goes_on_behind_a_proxy_that_ends_it(far: Client, between: Cutting) -> None:
    task = far.submit({}, delay_seconds=0.5)
    between.fates = [Fate.GATEWAY_TIMEOUT]
    assert far.wait(task.task_id, 20).state is State.SUCCEEDED


def test_a_wait_may_take_longer_than_other_answers(made: Made, between: Cutting) -> None:
    far = made(between.url, timeout=2)
    task = far.submit({}, delay_seconds=2.5)
    assert far.wait(task.task_id, 20).state is State.SUCCEEDED
    assert len(between.asked) == 2


def test_where_nothing_comes_through_it_is_unavailable(made: Made, between: Cutting) -> None:
    between.fates = [Fate.NEVER_CAME] * 9
    with pytest.raises(Unavailable, match=f"the connection to {between.url} broke") as end:
        made(between.url, retry_for=0.3).submit({}, "a")
    assert end.value.task_id == "a"


def test_where_nobody_listens_it_is_unavailable(made: Made) -> None:
    with pytest.raises(Unavailable, match=r"no service at http://127\.0\.0\.1:9"):
        made("http://127.0.0.1:9", retry_for=0).stats()
    with pytest.raises(Unavailable):
        list(made("http://127.0.0.1:9", retry_for=0).submit_many([{"payload": {}}]))
    with pytest.raises(Unavailable):
        next(made("http://127.0.0.1:9", retry_for=0).events())
