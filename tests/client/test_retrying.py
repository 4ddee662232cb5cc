"""Whether and when a call is made again, in virtual time."""

from __future__ import annotations

import pytest

from tests.client.played import CUT, After, Play, paths, problem, task
from unlost.client import Conflict, Fault, NotFound, Problem, Refused, Unavailable, UnlostError
from unlost.client.core import calls
from unlost.client.core.wire import Answer
from unlost.task import State

SUBMIT = calls.submit("a", {"n": 1}, {"max_retries": 3})


def test_the_same_request_is_sent_again_after_growing_pauses() -> None:
    play = Play([CUT, problem(503), problem(500), problem(408), task(status=202)])
    assert play.run(play.retries().perform(SUBMIT)).task_id == "a"
    assert play.pauses == [0.2, 0.4, 0.8, 1.6]
    assert {one.body for one in play.asked} == {b'{"taskId":"a","maxRetries":3,"payload":{"n":1}}'}


def test_pauses_are_spread_by_chance_and_have_a_longest() -> None:
    play = Play([CUT] * 9 + [task()], draw=0.0)
    play.run(play.retries().perform(SUBMIT))
    assert play.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 2.5, 2.5, 2.5]


@pytest.mark.parametrize(
    ("retry_after", "date", "pause"),
    [
        ("7", "", 7),
        ("1, 9", "", 9),
        ("0", "", 0.2),
        ("soon", "", 0.2),
        ("-5", "", 0.2),
        ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:25 GMT", 12),
        ("Sun, 06 Nov 1994 08:49:37 GMT", "", 0.2),
    ],
)
def test_retry_after_is_kept_to(retry_after: str, date: str, pause: float) -> None:
    play = Play([problem(429, "full", retry_after, date), task()])
    play.run(play.retries().perform(SUBMIT))
    assert play.pauses == [pause]


def test_it_ends_before_retry_for_is_over_with_the_last_reason() -> None:
    play = Play([problem(429, "over the rate", "20")] * 9)
    with pytest.raises(Unavailable, match=r"^over the rate \(429\); tried 3 times in 40 s$") as end:
        play.run(play.retries(59).perform(SUBMIT))
    assert play.now == 40
    assert end.value.problem is not None
    assert end.value.problem.detail == "over the rate"
    assert end.value.task_id == "a"


def test_a_wait_that_would_be_too_long_is_not_begun() -> None:
    play = Play([problem(503, "down", "61")])
    with pytest.raises(Unavailable, match="tried once"):
        play.run(play.retries(60).perform(SUBMIT))
    assert play.now == 0


def test_without_time_it_is_tried_once() -> None:
    play = Play([CUT])
    with pytest.raises(Unavailable, match="the connection broke; tried once"):
        play.run(play.retries(0).perform(SUBMIT))


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 415, 421, 422, 501])
def test_what_would_stay_refused_is_not_sent_again(status: int) -> None:
    play = Play([problem(status, "no")])
    with pytest.raises(Refused, match=rf"^no \({status}\)$") as end:
        play.run(play.retries().perform(SUBMIT))
    assert end.value.problem.status == status
    assert play.pauses == []


def test_faults_are_told_with_their_places() -> None:
    body = (
        b'{"type":"urn:unlost:problem:invalid","title":"T","status":422,"detail":"D",'
        b'"errors":[{"detail":"is missing","pointer":"#/payload"}]}'
    )
    play = Play([Answer(422, body)])
    with pytest.raises(Refused) as end:
        play.run(play.retries().perform(SUBMIT))
    [fault] = end.value.problem.errors
    assert (fault.pointer, fault.detail) == ("#/payload", "is missing")


def test_a_404_and_a_409_of_the_service_have_errors_of_their_own() -> None:
    for status, kind in ((404, NotFound), (409, Conflict)):
        play = Play([problem(status)])
        with pytest.raises(kind):
            play.run(play.retries().perform(SUBMIT))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"status": 404, "type": "x"}', b"\xff"])
def test_a_404_of_something_else_says_nothing_about_tasks(body: bytes) -> None:
    play = Play([Answer(404, body)])
    with pytest.raises(Refused, match="Not Found"):
        play.run(play.retries().perform(calls.get("a")))


@pytest.mark.parametrize("answer", [Answer(302), Answer(204), Answer(200, b"<html>"), Answer(200)])
def test_what_is_no_answer_of_the_service_is_told_as_that(answer: Answer) -> None:
    play = Play([answer])
    with pytest.raises(UnlostError, match="not the answer of an unlost service"):
        play.run(play.retries().perform(calls.get("a")))


@pytest.mark.parametrize("state", ["queued", "running", "retrying", "succeeded"])
def test_a_redrive_whose_answer_was_lost_is_looked_up(state: str) -> None:
    play = Play([CUT, problem(409), task(state=state, redriveCount=1)])
    done = play.run(play.retries().perform(calls.redrive("a", "call", None, {})))
    assert done.state == state
    assert paths(play.asked)[-1] == "GET /tasks/a"


def test_a_cancel_and_a_discard_whose_answers_were_lost_are_looked_up() -> None:
    play = Play([problem(503), problem(409), task(state="cancelled")])
    done = play.run(play.retries().perform(calls.cancel("a", {})))
    assert done.state is State.CANCELLED
    play = Play([CUT, problem(409), CUT, task(state="cancelled")])
    play.run(play.retries().perform(calls.discard("a", "call", {})))
    assert not play.left


@pytest.mark.parametrize("look", [task(state="succeeded"), problem(404), problem(403)])
def test_a_cancel_that_was_never_done_stays_refused(look: Answer) -> None:
    play = Play([CUT, problem(409, "it has succeeded"), look])
    with pytest.raises(Conflict, match="it has succeeded"):
        play.run(play.retries().perform(calls.cancel("a", {})))


def test_a_redrive_of_what_is_dead_or_was_never_redriven_stays_refused() -> None:
    for look in (task(state="dead", redriveCount=1), task(state="succeeded")):
        play = Play([CUT, problem(409), look])
        with pytest.raises(Conflict):
            play.run(play.retries().perform(calls.redrive("a", "call", None, {})))


def test_a_409_at_the_first_try_is_not_looked_up() -> None:
    play = Play([problem(409)])
    with pytest.raises(Conflict):
        play.run(play.retries().perform(calls.cancel("a", {})))


def test_a_conflict_of_a_repeated_submit_is_one() -> None:
    play = Play([CUT, problem(409)])
    with pytest.raises(Conflict):
        play.run(play.retries().perform(SUBMIT))


def waits(play: Play) -> list[str]:
    return [dict(one.query).get("wait", "") for one in play.asked]


def test_a_wait_goes_on_over_several_answers() -> None:
    play = Play([After(30, task()), After(30, task()), After(3, task(state="dead"))])
    assert play.run(play.retries().wait("a", 100)).ended
    assert waits(play) == ["30.000", "30.000", "30.000"]
    assert play.pauses == []


def test_a_wait_ends_in_time_with_the_task_as_it_is() -> None:
    play = Play([After(30, task()), After(10, task(state="running"))])
    assert play.run(play.retries().wait("a", 40)).state is State.RUNNING
    assert waits(play) == ["30.000", "10.000"]


def test_a_wait_of_no_seconds_is_a_look() -> None:
    play = Play([task()])
    assert not play.run(play.retries().wait("a", 0)).ended
    assert waits(play) == [""]


def test_answers_that_come_early_are_asked_for_again_but_not_at_once() -> None:
    play = Play([task(), task(), task(), task(state="succeeded")])
    assert play.run(play.retries().wait("a", 60)).ended
    assert play.pauses == [0.2, 0.4, 0.8]


def test_a_wait_that_is_cut_off_each_time_is_asked_for_sooner() -> None:
    cut = After(10, problem(504))
    play = Play([cut, task(), After(5, task()), After(5, task(state="succeeded"))])
    assert play.run(play.retries().wait("a", 60)).ended
    assert waits(play) == ["30.000", "", "5.000", "5.000"]
    assert play.pauses == [0.2]


def test_a_wait_keeps_to_retry_after_and_gives_up_as_any_call() -> None:
    play = Play([problem(503, "full", "3"), *[problem(503, "full", "3")] * 9])
    with pytest.raises(Unavailable):
        play.run(play.retries(10).wait("a", 60))
    assert play.pauses == [3, 3, 3]


def test_a_wait_for_what_is_not_there_is_not_found() -> None:
    play = Play([problem(404)])
    with pytest.raises(NotFound):
        play.run(play.retries().wait("a", 60))


def test_what_is_told_of_a_refusal_has_every_fault_once() -> None:
    told, more = Fault("is missing", pointer="#/payload"), Fault("is unknown", parameter="x")
    problem = Problem(422, detail="#/payload is missing", errors=(told, more))
    assert str(problem) == "#/payload is missing; x: is unknown (422)"
