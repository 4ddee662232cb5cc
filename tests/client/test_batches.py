"""Many tasks: how they are gathered, and what becomes of each."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

import pytest

from tests.client.played import CUT, Play, problem, results
from unlost.client import Refused, Unavailable, UnlostError
from unlost.client.core.batches import HEAVIEST, LONGEST, MOST, Batcher, Item, deliver, item
from unlost.client.core.wire import Answer

NUMBERS = count()


def new_id() -> str:
    return f"new-{next(NUMBERS)}"


def items(number: int) -> list[Item]:
    return [Item(f"t{at}", b"%d" % at) for at in range(number)]


def statuses(play: Play, number: int, retry_for: float = 60.0) -> list[int]:
    found = play.run(deliver(play.retries(retry_for), items(number)))
    return [one.status for one in found]


def bodies(play: Play) -> list[bytes | None]:
    return [one.body for one in play.asked]


def test_only_what_was_not_taken_is_sent_again_and_the_order_stays() -> None:
    play = Play([results(503, 202, 429, 409), results(202, 503), results(200)])
    assert statuses(play, 4) == [202, 202, 200, 409]
    assert bodies(play) == [b"0\n1\n2\n3", b"0\n2", b"2"]
    assert {one.content_type for one in play.asked} == {"application/x-ndjson"}


def test_no_task_comes_again_before_the_batch_may() -> None:
    refused = results(202, 429, retry_after="7")
    play = Play([refused, results(202)])
    assert statuses(play, 2) == [202, 202]
    assert play.pauses == [7.0]
    halves = Play([Answer(413, b"too large"), refused, results(503, 202), results(200, 202)])
    assert statuses(halves, 4) == [202, 200, 202, 202]
    assert halves.pauses == [7.0]


def test_a_batch_whose_answer_was_lost_is_sent_again() -> None:
    play = Play([CUT, problem(503), results(200, 202)])
    assert statuses(play, 2) == [200, 202]
    assert bodies(play) == [b"0\n1"] * 3


def test_retry_for_begins_anew_with_each_task_that_is_taken() -> None:
    replies = [results(*[503] * left, 202) for left in range(40, 0, -1)]
    play = Play([*replies, results(202)])
    assert statuses(play, 41, retry_for=0.3) == [202] * 41
    assert play.now > 5


def test_where_no_task_is_taken_it_is_unavailable_and_says_why() -> None:
    play = Play([results(503, 503)] * 99)
    with pytest.raises(Unavailable, match=r"^said 503 \(503\); tried"):
        statuses(play, 2, retry_for=10)
    assert play.now <= 10


def test_what_lies_between_may_want_smaller_batches() -> None:
    large = Answer(413, b"<html>too large")
    play = Play([large, results(202, 202), large, results(202), results(202)])
    assert statuses(play, 4) == [202] * 4
    assert bodies(play) == [b"0\n1\n2\n3", b"0\n1", b"2\n3", b"2", b"3"]


def test_a_task_that_is_too_large_alone_is_rejected_alone() -> None:
    large = Answer(413, b"<html>too large")
    play = Play([large, large, results(202)])
    assert statuses(play, 2) == [413, 202]


def test_a_refusal_of_all_is_raised() -> None:
    with pytest.raises(Refused, match="no key"):
        statuses(Play([problem(401, "no key")]), 2)


def test_an_answer_that_forgets_a_task_is_none() -> None:
    with pytest.raises(UnlostError, match="1 of 2 tasks"):
        statuses(Play([results(202)]), 2)


def test_a_task_that_cannot_be_sent_is_rejected_in_its_place() -> None:
    play = Play([results(202, 202)])
    bad = item({"payload": {"n": float("inf")}, "task_id": "bad"}, new_id)
    found = play.run(deliver(play.retries(), [*items(1), bad, *items(1)]))
    assert [one.status for one in found] == [202, 422, 202]
    assert found[1].task_id == "bad"
    assert "inf" in found[1].detail


@pytest.mark.parametrize(
    ("task", "body"),
    [
        ({"payload": {}, "task_id": "a"}, b'{"taskId":"a","payload":{}}'),
        ({"payload": {}, "taskId": "a", "maxRetries": 3},
         b'{"taskId":"a","maxRetries":3,"payload":{}}'),
        ({"task_id": "a", "payload": {"x": 10**30}, "max_retries": None},
         b'{"taskId":"a","payload":{"x":1000000000000000000000000000000}}'),
        ({"task_id": ""}, b'{"taskId":"","payload":null}'),
    ],
)  # fmt: skip
def test_a_task_has_the_names_of_python_or_of_the_api(task: dict[str, Any], body: bytes) -> None:
    before = dict(task)
    assert item(task, new_id).body == body
    assert task == before


def test_an_id_that_is_left_out_is_made() -> None:
    first, second = (item({"payload": {}}, new_id) for _ in range(2))
    assert first.task_id != second.task_id
    assert first.task_id.encode() in first.body


def test_a_time_without_its_zone_rejects_its_task_alone() -> None:
    refused = item({"payload": {}, "task_id": "a", "run_at": datetime(2026, 1, 1)}, new_id).refused  # noqa: DTZ001
    assert refused is not None
    assert (refused.task_id, refused.status) == ("a", 422)


@pytest.mark.parametrize("task", ["text", 5, None, ["payload"]])
def test_what_is_no_mapping_is_a_type_error(task: Any) -> None:
    with pytest.raises(TypeError, match="a task is a mapping"):
        item(task, new_id)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_batches_are_bounded_by_their_number() -> None:
    batcher = Batcher(Time())
    full = [batcher.add(Item("a", b"x")) for _ in range(2 * MOST + 1)]
    assert [len(one) for one in full if one] == [MOST, MOST]
    assert len(batcher.rest()) == 1
    assert batcher.rest() == []


def test_batches_are_bounded_by_their_bytes() -> None:
    batcher = Batcher(Time())
    third = b"x" * (HEAVIEST // 3)
    assert [len(batcher.add(Item("a", third))) for _ in range(5)] == [0, 0, 2, 0, 2]
    assert len(batcher.add(Item("huge", b"x" * (HEAVIEST + 1)))) == 1
    assert len(batcher.add(Item("b", b"x"))) == 1
    assert len(batcher.rest()) == 1


def test_what_comes_slowly_is_not_held_back() -> None:
    time = Time()
    batcher = Batcher(time)
    assert batcher.add(Item("a", b"x")) == []
    time.now = LONGEST / 2
    assert batcher.add(Item("b", b"x")) == []
    time.now = 2 * LONGEST
    assert len(batcher.add(Item("c", b"x"))) == 3
    time.now = 9 * LONGEST
    assert batcher.add(Item("d", b"x")) == []
