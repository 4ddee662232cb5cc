"""Rows become tasks, once each; what is refused is set aside; nothing is stuck behind it."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.outbox.places import Place, Service, drain, in_sqlite, make_due, refusing, relay
from unlost.outbox.rows import task_of
from unlost.outbox.store import NoOutbox, Settled
from unlost.task import MAX_PAYLOAD

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_the_table_makes_ids_and_times_by_itself(place: Place) -> None:
    ids = {place.put("{}") for _ in range(50)}
    times = place.run("SELECT created_at FROM unlost_outbox")
    assert len(ids) == 50
    assert all(re.fullmatch(UUID4, one) for one in ids)
    assert all(one for (one,) in times)


def test_a_row_is_submitted_with_all_that_it_says_and_removed(
    place: Place, service: Service
) -> None:
    options = '{"priority": 7, "maxRetries": 9,\n "key": "k"}'
    plain = place.put('{\n  "a": 1.50\n}')
    place.put("{}", task_id="mine", type="mail", options=options)
    drain(relay(place, service))
    tasks = service.tasks()
    assert tasks.keys() == {f"outbox:{plain}", "mine"}
    assert tasks[f"outbox:{plain}"]["payload"] == {"a": 1.5}
    mine = tasks["mine"]
    assert (mine["type"], mine["maxRetries"], mine["key"]) == ("mail", 9, "k")
    assert (place.left(), place.rejected()) == (0, {})


def test_a_row_that_was_submitted_but_not_removed_makes_no_second_task(
    place: Place, service: Service
) -> None:
    place.put('{"n": 1}')
    for _ in range(3):
        [row] = place.outbox.take(lease=0)
        service.post(task_of(row))  # and the relay is killed
    drain(relay(place, service))
    assert len(service.tasks()) == 1
    assert place.left() == 0


def test_two_relays_do_not_get_the_same_rows(place: Place) -> None:
    for _ in range(5):
        place.put("{}")
    assert len(place.outbox.take()) == 5
    assert place.outbox.take() == []


def test_a_row_of_a_relay_that_died_is_due_again(place: Place) -> None:
    place.put("{}")
    assert len(place.outbox.take(lease=0)) == len(place.outbox.take(lease=0)) == 1


def test_a_lease_that_a_clock_set_back_made_long_holds_no_row(place: Place) -> None:
    place.put("{}")
    assert len(place.outbox.take(lease=86_400)) == 1
    assert len(place.outbox.take()) == 1


BAD: dict[str, tuple[dict[str, object], int]] = {
    "no JSON": ({"payload": "{oops"}, 400),
    "empty": ({"payload": ""}, 400),
    "more than one value": ({"payload": '{}, "taskId": "stolen"'}, 400),
    "closes the object around it": ({"payload": '{}}\n{"taskId":"stolen","payload":{}'}, 400),
    "no object": ({"payload": "[1]"}, 422),
    "nested too deeply": ({"payload": '{"a":' + "[" * 5000 + "]" * 5000 + "}"}, 400),
    "nested deeper than a payload may": ({"payload": '{"a":' + "[" * 130 + "]" * 130 + "}"}, 400),
    "the same member twice": ({"payload": '{"a": 1, "a": 2}'}, 400),
    "a lone surrogate": ({"payload": '{"a": "\\ud800"}'}, 400),
    "too large": ({"payload": json.dumps({"a": "x" * MAX_PAYLOAD})}, 413),
    "options too large": ({"payload": "{}", "options": json.dumps({"key": "x" * 330_000})}, 413),
    "an unknown option": ({"payload": "{}", "options": '{"colour": 1}'}, 422),
    "an option that is wrong": ({"payload": "{}", "options": '{"priority": "high"}'}, 422),
    "options that are no object": ({"payload": "{}", "options": "[]"}, 422),
    "options that are no JSON": ({"payload": "{}", "options": "{"}, 400),
    "options that name the payload again": ({"payload": "{}", "options": '{"payload": {}}'}, 400),
    "options that name the id again": ({"payload": "{}", "options": '{"taskId": "x"}'}, 400),
    "a type of the service's own": ({"payload": "{}", "type": "unlost.webhook"}, 422),
    "an empty id": ({"payload": "{}", "task_id": ""}, 422),
    "an id too long": ({"payload": "{}", "task_id": "x" * 256}, 422),
}


def test_bad_rows_are_set_aside_with_their_answers_and_hold_up_nothing(
    place: Place, service: Service
) -> None:
    service.post(b'{"taskId":"taken","payload":{"first":true}}')
    expected = {}
    taken: tuple[dict[str, object], int] = ({"payload": "{}", "task_id": "taken"}, 409)
    for columns, status in [*BAD.values(), taken]:
        place.put('{"good": true}')
        rest = {name: value for name, value in columns.items() if name != "payload"}
        expected[place.put(columns["payload"], **rest)] = status
    for _ in range(2):  # the same again is a replay, other content a conflict
        place.put('{"n": 1}', task_id="twice")
    expected[place.put('{"n": 2}', task_id="twice")] = 409
    drain(relay(place, service))
    assert place.rejected() == expected
    assert place.left() == 0
    tasks = service.tasks()
    assert "stolen" not in tasks
    assert sum(task["payload"] == {"good": True} for task in tasks.values()) == len(BAD) + 1
    reasons = place.run("SELECT reason FROM unlost_outbox_rejected")
    assert all(reason for (reason,) in reasons)


def test_sqlite_rows_may_hold_any_bytes(tmp_path: Path, service: Service) -> None:
    """PostgreSQL refuses what is not UTF-8 itself."""
    with in_sqlite(tmp_path) as place:
        _relay_any_bytes(place, service)


def _relay_any_bytes(place: Place, service: Service) -> None:
    bad = [
        place.run(
            f"INSERT INTO unlost_outbox (payload, {column}) VALUES ('{{}}', CAST(x'ff' AS TEXT))"
            " RETURNING id"
        )[0][0]
        for column in ("task_id", "type", "options")
    ]
    bad.append(
        place.run(
            "INSERT INTO unlost_outbox (payload) VALUES (CAST(x'7b22ff227d' AS TEXT)) RETURNING id"
        )[0][0]
    )
    place.put("{}")
    drain(relay(place, service))
    assert place.rejected() == dict.fromkeys(bad, 400)
    assert len(service.tasks()) == 1
    assert place.outbox.status().rejected == 4


def test_large_rows_are_taken_a_few_at_once(place: Place, service: Service) -> None:
    for _ in range(40):
        place.put(json.dumps({"a": "x" * 250_000}))
    batches = []
    while rows := place.outbox.take():
        batches.append(sum(len(row.payload or b"") for row in rows))
        place.outbox.settle(Settled([row.id for row in rows]))
    assert sum(batches) == 40 * 250_009
    assert max(batches) < 4_300_000


def test_retry_brings_rejected_rows_back(place: Place, service: Service) -> None:
    service.post(b'{"taskId":"a","payload":{"other":1}}')
    first = place.put("{}", task_id="a")
    place.put("{}", task_id="a", options='{"priority": 1}')
    drain(relay(place, service))
    assert len(place.rejected()) == 2
    assert place.outbox.retry(["0" * 8 + "-0000-4000-8000-" + "0" * 12]) == 0
    assert place.outbox.retry([first]) == 1
    assert (place.left(), len(place.rejected())) == (1, 1)
    place.run("UPDATE unlost_outbox SET task_id = %s", "b")
    drain(relay(place, service))
    assert service.tasks().keys() == {"a", "b"}
    assert place.outbox.retry() == 1
    drain(relay(place, service))
    assert len(place.rejected()) == 1


def test_while_no_service_answers_rows_wait_and_then_all_come(
    place: Place, service: Service
) -> None:
    for number in range(3):
        place.put(json.dumps({"n": number}))
    service.down = refusing
    one = relay(place, service)
    assert one.step() == 3
    status = place.outbox.status()
    assert (status.waiting, status.delayed, status.rejected) == (0, 3, 0)
    assert [(told.answer, told.rows) for told in status.answers] == [("0 no service there", 3)]
    service.down = None
    make_due(place)
    drain(one)
    assert len(service.tasks()) == 3
    assert place.left() == 0


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503, 200])
def test_whatever_else_is_answered_to_all_waits(
    place: Place, service: Service, status: int
) -> None:
    place.put("{}")
    service.down = lambda _: (status, b"<html>")
    relay(place, service).step()
    assert (place.left(), place.rejected()) == (1, {})
    assert place.outbox.status().delayed == 1


def test_a_refusal_of_another_server_rejects_no_row(place: Place, service: Service) -> None:
    place.put("{}")
    service.down = lambda _: (400, b"<html>Bad Request</html>")
    relay(place, service).step()
    assert (place.left(), place.rejected()) == (1, {})


def test_a_row_that_waits_holds_up_no_other_and_waits_longer_each_time(
    place: Place, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("{}", task_id="slow")
    place.put("{}", task_id="quick")

    def answer(lines: bytes) -> tuple[int, bytes]:
        results = [{"status": 429 if b"slow" in line else 202} for line in lines.split(b"\n")]
        return 200, json.dumps({"results": results}).encode()

    service.down = answer
    one = relay(place, service)
    pauses: list[float] = []
    real = place.outbox.settle

    def settle(settled: Settled) -> None:
        pauses.extend(pause for _, pause, _ in settled.waiting)
        real(settled)

    monkeypatch.setattr(place.outbox, "settle", settle)
    for _ in range(9):
        for number in range(3):
            place.put("{}", task_id=f"quick-{number}")
        assert one.step() > 3
        assert place.outbox.take() == []  # the slow one is not due, and no other is left
        make_due(place)
    assert len(pauses) == 9
    assert pauses[0] <= 1
    assert all(later > sooner for sooner, later in pairwise(pauses[:6]))
    assert 30 <= pauses[-1] <= 60


def test_a_batch_that_is_too_large_as_a_whole_is_sent_in_halves(
    place: Place, service: Service
) -> None:
    for number in range(10):
        place.put(json.dumps({"n": number}))
    real = service.post

    def proxy(lines: bytes) -> tuple[int, bytes]:
        if lines.count(b"\n") >= 4:
            return 413, b"<html>Request Entity Too Large</html>"
        service.down = None
        try:
            return real(lines)
        finally:
            service.down = proxy

    service.down = proxy
    drain(relay(place, service))
    assert place.left() == 0
    assert len(service.tasks()) == 10


def test_create_again_changes_nothing_and_a_missing_table_is_told(place: Place) -> None:
    place.put("{}")
    place.outbox.create()
    place.outbox.check()
    assert place.left() == 1
    place.run("DROP TABLE unlost_outbox")
    for call in (place.outbox.check, place.outbox.take, place.outbox.status):
        with pytest.raises(NoOutbox, match="unlost outbox create"):
            call()
    place.outbox.create()
    assert place.left() == 0


def test_status_has_the_numbers_the_age_and_the_newest_rejected(
    place: Place, service: Service
) -> None:
    bad = place.put("[]", task_id="bad")
    drain(relay(place, service))
    place.put("{}")
    old = "2020-01-01T00:00:00Z"
    place.run("UPDATE unlost_outbox SET created_at = %s", old)
    status = place.outbox.status()
    assert status.states == {"waiting": 1, "delayed": 0, "rejected": 1}
    assert status.oldest_seconds > 86_400 * 365
    [rejected] = status.newest_rejected
    assert (rejected.id, rejected.task_id, rejected.status) == (bad, "bad", 422)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rejected.rejected_at)
