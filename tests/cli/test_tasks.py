"""`unlost task`, `unlost why` and `unlost tasks`."""

from __future__ import annotations

import json

from tests.cli.conftest import Command, Http, doomed, ndjson
from tests.cli.scripted import Reply, scripted


def listed(client: Command, *words: str) -> list[str]:
    found = json.loads(client("tasks", "--json", *words).out)
    return [task["taskId"] for task in found["tasks"]]


def test_a_task_is_shown_with_every_attempt_and_its_error(client: Command, http: Http) -> None:
    http.process(doomed("a", outcome="fail"))
    result = client("task", "a")
    assert result.status == 0
    assert "dead" in result.out
    assert result.out.count("SimulatedFailure") == 4
    assert "3 (up to 2 retries)" in result.out
    assert "\nerror " in result.out


def test_a_task_that_succeeded_in_the_end_had_a_last_error(client: Command, http: Http) -> None:
    payload = {"simulate": {"outcome": "fail", "failTimes": 1}}
    http.process(ndjson({"taskId": "a", "payload": payload, "maxRetries": 1}))
    shown = client("task", "a").out
    assert "2 (up to 1 retry)" in shown
    assert "\nlast error " in shown


def test_a_redrive_is_counted_in_words(client: Command, http: Http) -> None:
    http.process(doomed("a"))
    assert client("dead", "redrive", "a").status == 0
    http.settle()
    assert "redriven 1 time)" in client("task", "a").out


def test_a_task_as_json_is_what_the_service_says(client: Command, http: Http) -> None:
    http.process(ndjson({"taskId": "a", "payload": {"n": 1}}))
    found = json.loads(client("task", "a", "--json").out)
    assert (found["taskId"], found["state"], found["payload"]) == ("a", "succeeded", {"n": 1})


def test_why_a_task_waits_is_told_in_words_and_as_the_service_says(
    client: Command, http: Http
) -> None:
    assert client("pause", "mail", "--by", "ann").status == 0
    http.submit(ndjson({"taskId": "a/b", "payload": {}, "type": "mail"}))
    result = client("why", "a/b")
    assert result.status == 0
    assert "type_paused" in result.out
    assert "Its type is paused, by ann." in result.out
    assert "It starts once its type is resumed." in result.out
    found = json.loads(client("why", "a/b", "--json").out)
    assert (found["taskId"], found["reason"]) == ("a/b", "type_paused")
    assert client("why", "nobody").status == 1


def test_any_id_can_be_asked_for(client: Command, http: Http) -> None:
    names = ["a/b", "a?b#c", "ü  x", "batch", "%2F", "--limit", "100% &=+"]
    http.process(ndjson(*({"taskId": name, "payload": {}} for name in names)))
    for name in names:
        assert json.loads(client("task", "--json", "--", name).out)["taskId"] == name


def test_an_unknown_task_is_one_line_and_status_1(client: Command, http: Http) -> None:
    result = client("task", "nobody")
    assert result.status == 1
    assert "(404)" in result.complaint


def test_the_list_is_newest_first_and_uncut(client: Command, http: Http) -> None:
    names = [f"{number}-{'x' * 200}" for number in range(3)]
    for name in names:
        http.process(ndjson({"taskId": name, "payload": {}}))
    heads, *rows = client("tasks").out.splitlines()
    assert heads.startswith("TASK")
    assert [row.split()[0] for row in rows] == names[::-1]


def test_the_filters_of_the_list_narrow_it(client: Command, http: Http) -> None:
    http.process(doomed("dead-1", "dead-2"))
    http.process(ndjson({"taskId": "fine", "payload": {}, "type": "mail"}))
    assert listed(client, "--state", "dead") == ["dead-2", "dead-1"]
    assert listed(client, "--type", "mail") == ["fine"]
    assert listed(client, "--id-prefix", "dead-") == ["dead-2", "dead-1"]
    assert listed(client, "--since", "2100-01-01T00:00:00Z") == []
    assert len(listed(client, "--until", "2100-01-01T00:00:00+01:00")) == 3


def test_a_limit_stops_and_the_cursor_goes_on(client: Command, http: Http) -> None:
    http.process(ndjson(*({"taskId": f"t{n}", "payload": {}} for n in range(5))))
    first = json.loads(client("tasks", "--json", "--limit", "2").out)
    assert [task["taskId"] for task in first["tasks"]] == ["t4", "t3"]
    assert listed(client, "--cursor", first["nextCursor"]) == ["t2", "t1", "t0"]


def test_all_pages_to_the_end(client: Command, http: Http) -> None:
    http.process(ndjson(*({"taskId": f"t{n}", "payload": {}} for n in range(1_200))))
    assert len(listed(client, "--all")) == 1_200
    assert len(client("tasks", "--all").out.splitlines()) == 1_201
    assert len(listed(client, "--limit", "1100")) == 1_100


def test_a_page_may_be_empty_before_the_end(unlost: Command) -> None:
    pages = (b'{"tasks": [], "nextCursor": "c"}', b'{"tasks": [{"x": 1}], "nextCursor": null}')
    with scripted(*(Reply(200, page) for page in pages)) as script:
        result = unlost("tasks", "--json", "--limit", "1", "--url", script.url)
    assert json.loads(result.out) == {"tasks": [{"x": 1}], "nextCursor": None}


def test_text_of_a_task_cannot_steer_the_terminal(client: Command, http: Http) -> None:
    payload = {"text": "\x9b31m\u202e"}
    http.process(ndjson({"taskId": "a\u202eb", "payload": payload}))
    shown = client("tasks").out + client("task", "a\u202eb").out
    assert "a\\u202eb" in shown
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
