"""A stream of events: read however it is cut, and opened again where it breaks."""

from __future__ import annotations

import json

import pytest

from tests.client.played import CUT, Play, problem
from unlost.client import Lagged, Refused, TaskEvent, Unavailable, UnlostError
from unlost.client.core.events import Following, Parser
from unlost.client.core.wire import Answer


def event(task_id: str) -> bytes:
    at = "2026-01-01T00:00:00Z"
    members = {"taskId": task_id, "type": "t", "state": "queued", "attempt": 0, "at": at}
    return b"event: task\ndata: " + json.dumps(members).encode() + b"\n\n"


STREAM = (
    b": following\n\n"
    + event("a")
    + b": still here\n\n"
    + b'event: lagged\ndata: {"dropped": 3}\n\n'
    + b"event: other\ndata: 5\n\nid: 7\n\n"
    + event("ä")
)


def seen(found: list[TaskEvent | Lagged]) -> list[str | int | None]:
    return [one.task_id if isinstance(one, TaskEvent) else one.dropped for one in found]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_stream_is_read_however_it_is_cut(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end) + b":\n"
    for size in range(1, len(stream) + 1):
        parser = Parser()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert seen([one for piece in pieces for one in parser.fed(piece)]) == ["a", 3, "ä"]


def test_an_event_that_is_none_of_the_service_is_told_as_that() -> None:
    with pytest.raises(UnlostError, match="not an event of an unlost service"):
        list(Parser().fed(b"event: task\ndata: {}\n\n"))


def test_after_a_break_the_first_event_says_that_some_are_missing() -> None:
    play = Play([])
    following = Following(play.retries())
    assert seen(list(following.took(event("a") + event("half")[:20]))) == ["a"]
    list(following.took(CUT))
    assert following.pause().seconds == 0.2
    list(following.took(CUT))
    assert following.pause().seconds == 0.4
    assert seen(list(following.took(event("b")))) == [None, "b"]
    assert seen(list(following.took(event("c")))) == ["c"]
    assert following.pause().seconds == 0.2  # it has ended in order, and was heard meanwhile


def test_it_is_given_up_after_retry_for_without_a_byte() -> None:
    play = Play([])
    following = Following(play.retries(10))
    list(following.took(event("a")))
    play.now = 1_000

    def go_on() -> None:
        while True:
            list(following.took(CUT))
            play.now += following.pause().seconds

    with pytest.raises(Unavailable, match="the connection broke"):
        go_on()
    assert 1_005 < play.now <= 1_010


def test_a_full_service_is_asked_again_when_it_says_and_a_refusal_stays() -> None:
    following = Following(Play([]).retries())
    list(following.took(problem(503, "full", "7")))
    assert following.pause().seconds == 7
    for answer in (problem(401), problem(501), Answer(200)):
        following = Following(Play([]).retries())
        list(following.took(answer))
        with pytest.raises((Refused, UnlostError)):
            following.pause()
