"""`unlost dead …`."""

from __future__ import annotations

import json

from tests.cli.conftest import Code, Command, Http, doomed, ndjson
from tests.cli.scripted import Reply, scripted


def kill(http: Http, *task_ids: str, outcome: str = "reject") -> None:
    http.process(doomed(*task_ids, outcome=outcome))


def live(http: Http, task_id: str) -> None:
    http.process(ndjson({"taskId": task_id, "payload": {}}))


def dead(client: Command, *words: str) -> list[str]:
    found = json.loads(client("dead", "list", "--json", *words).out)
    return [letter["taskId"] for letter in found["tasks"]]


def group(client: Command, error: str) -> str:
    found = json.loads(client("dead", "groups", "--json").out)["groups"]
    (fingerprint,) = (one["fingerprint"] for one in found if one["errorType"] == error)
    return str(fingerprint)


def test_dead_letters_are_listed_newest_death_first(client: Command, http: Http) -> None:
    kill(http, "a")
    kill(http, "b", outcome="fail")
    assert dead(client) == ["b", "a"]
    assert dead(client, "--error", "Reject") == ["a"]
    assert dead(client, "--type", "mail") == []
    assert dead(client, "--limit", "1") == ["b"]
    rows = client("dead", "list").out.splitlines()
    assert [row.split()[0] for row in rows] == ["TASK", "b", "a"]


def test_groups_count_what_died_of_the_same(client: Command, http: Http) -> None:
    kill(http, "a", "b")
    kill(http, "c", outcome="fail")
    heads, first, second = client("dead", "groups").out.splitlines()
    assert heads.startswith("FINGERPRINT")
    assert first.split()[1:3] == ["2", "Reject"]
    assert second.split()[1:3] == ["1", "SimulatedFailure"]


def test_show_gives_the_traceback_of_every_attempt(client: Command, http: Http) -> None:
    kill(http, "a", outcome="fail")
    result = client("dead", "show", "a")
    assert result.status == 0
    assert result.out.count("Traceback (most recent call last)") == 3
    assert len(json.loads(client("dead", "show", "a", "--json").out)["attempts"]) == 3


def test_show_refuses_what_is_not_dead(client: Command, http: Http) -> None:
    live(http, "a")
    assert "it is succeeded" in client("dead", "show", "a").complaint


def test_one_dead_letter_gets_a_fresh_set_of_attempts(client: Command, http: Http) -> None:
    kill(http, "a")
    assert client("dead", "redrive", "a", "--by", "me", "--reason", "mended").status == 0
    http.settle()
    found = http.task("a")
    assert found["redriveCount"] == 1
    assert found["attemptCount"] == 2
    shown = client("task", "a").out
    assert "redrive by me: mended" in shown


def test_an_edited_payload_replaces_the_old_one_untouched(client: Command, http: Http) -> None:
    kill(http, "a")
    text = '{"n":123456789012345678901234567890.10}'
    (client.folder / "p.json").write_text(f"\n{text}\n")
    assert client("dead", "redrive", "a", "--payload", "p.json").status == 0
    assert http.settle()["succeeded"] == 1
    assert f'"payload":{text}' in http.texts()


def test_a_payload_may_come_from_standard_input(client: Command, http: Http) -> None:
    kill(http, "a")
    assert client.fed(b'{"n": 1}', "dead", "redrive", "a", "--payload", "-").status == 0


def test_a_payload_that_is_not_json_redrives_nothing(client: Command, http: Http) -> None:
    kill(http, "a")
    result = client.fed(b'{}, "by": "x"', "dead", "redrive", "a", "--payload", "-")
    assert result.status == 1
    assert "standard input is not a payload" in result.complaint
    assert dead(client) == ["a"]


def test_redriving_what_is_not_dead_says_so(client: Command, http: Http) -> None:
    live(http, "a")
    assert "(409)" in client("dead", "redrive", "a").complaint
    assert "(404)" in client("dead", "redrive", "nobody").complaint


def test_several_ids_are_redriven_and_those_that_are_not_dead_are_counted(
    client: Command, http: Http
) -> None:
    kill(http, "a", "b", "c")
    assert client("dead", "redrive", "a", "b").status == 0
    http.settle()
    result = client("dead", "redrive", "a", "c", "nobody", "c")
    assert result.status == 1
    assert "redriven  2" in result.out
    assert "not dead letters: 1 of 3 ids" in result.complaint
    http.settle()
    assert [http.task(name)["redriveCount"] for name in "abc"] == [2, 1, 1]


def test_a_group_is_redriven_and_no_other(client: Command, http: Http) -> None:
    kill(http, "a", "b")
    kill(http, "c", outcome="fail")
    result = client("dead", "redrive", "--group", group(client, "Reject"))
    assert "redriven  2" in result.out
    http.settle()
    assert [http.task(name)["redriveCount"] for name in "abc"] == [1, 1, 0]


def test_a_type_is_redriven_and_no_other(client: Command, http: Http) -> None:
    kill(http, "a")
    assert "redriven  0" in client("dead", "redrive", "--type", "mail").out
    assert "redriven  1" in client("dead", "redrive", "--type", "default").out


def test_a_limit_takes_the_oldest_deaths(client: Command, http: Http) -> None:
    for name in ("a", "b", "c"):
        kill(http, name)
    assert "redriven  2" in client("dead", "redrive", "--all", "--limit", "2").out
    http.settle()
    assert [http.task(name)["redriveCount"] for name in "abc"] == [1, 1, 0]


def test_a_rate_spreads_the_next_attempts(client: Command, http: Http) -> None:
    kill(http, "a", "b")
    assert "redriven  2" in client("dead", "redrive", "--all", "--rate", "0.2").out
    states = sorted(str(http.task(name)["nextAttemptAt"] is not None) for name in "ab")
    assert "True" in states


def test_a_canary_that_succeeds_is_followed_by_the_rest(
    broken: tuple[Command, Http, Code],
) -> None:
    client, http, code = broken
    http.process(doomed(*"abcde"))
    code.mended = True
    result = client("dead", "redrive", "--all", "--canary", "--by", "ann", "--json")
    assert result.status == 0
    sums = json.loads(result.out)
    assert (sums["redriven"], sums["succeeded"], sums["left"]) == (5, 5, 0)
    assert (sums["state"], sums["why"]) == ("done", None)
    assert "redrive by ann" in client("task", "e").out


def test_a_canary_stops_by_itself_when_failures_recur(broken: tuple[Command, Http, Code]) -> None:
    client, http, code = broken
    names = [f"t{number:03}" for number in range(100)]
    http.process(doomed(*names))
    code.mended, code.spoilt = True, frozenset(names[4:])
    result = client("dead", "redrive", "--type", "default", "--canary", "--json")
    sums = json.loads(result.out)
    assert result.status == 1
    assert (sums["state"], "died again" in sums["why"]) == ("stopped", True)
    assert "`unlost dead show t00" in result.complaint
    assert sums["left"] >= 90
    assert sum(bool(http.task(name)["redriveCount"]) for name in names) == sums["redriven"]


def test_a_canary_that_dies_again_keeps_the_rest_from_being_redriven(
    client: Command, http: Http
) -> None:
    kill(http, "a", "b", "c")
    result = client("dead", "redrive", "--group", group(client, "Reject"), "--canary")
    assert result.status == 1
    assert result.complaint == (
        "unlost: 1 died again, so it stopped; 2 dead letters are left;"
        " `unlost dead show a` says why"
    )
    assert result.out.splitlines() == [
        "redriven    1",
        "succeeded   0",
        "died again  1",
        "left        2",
    ]
    assert [http.task(name)["redriveCount"] for name in "abc"] == [1, 0, 0]


def test_a_canary_of_ids_passes_over_what_is_not_dead_and_says_so(
    client: Command, http: Http
) -> None:
    live(http, "a")
    result = client("dead", "redrive", "a", "nobody", "--canary")
    assert result.status == 1
    assert "not dead letters: 2 of 2 ids" in result.complaint


def test_one_whose_answer_was_lost_is_asked_for_again_as_the_same_call(unlost: Command) -> None:
    task = b'{"taskId": "a", "type": "x", "state": "running", "attemptCount": 1, "maxRetries": 0,'
    task += b' "submittedAt": "2030-01-01T00:00:00Z", "updatedAt": "2030-01-01T00:00:00Z",'
    task += b' "redriveCount": 1}'
    lost = Reply(hang_up=True)
    with scripted(lost, lost, Reply(200, task), lost, Reply(200, task)) as script:
        redriven = unlost("dead", "redrive", "a", "--by", "ann", "--url", script.url)
        discarded = unlost("dead", "discard", "a", "--url", script.url)
        bodies = [json.loads(body) for body in script.bodies]
    assert (redriven.status, discarded.status) == (0, 0)
    first, second = ({body["id"] for body in some} for some in (bodies[:3], bodies[3:]))
    assert len(first) == len(second) == 1
    assert first != second


def test_what_a_service_leaves_to_a_further_call_is_called_for(unlost: Command) -> None:
    replies = [
        Reply(202, b'{"redriven": 1000, "more": true}'),
        Reply(202, b'{"redriven": 1000, "more": true}'),
        Reply(202, b'{"redriven": 500, "more": true}'),
    ]
    words = ("dead", "redrive", "--all", "--limit", "2500", "--reason", "why")
    with scripted(*replies) as script:
        result = unlost(*words, "--url", script.url)
        bodies = [json.loads(body) for body in script.bodies]
    assert "redriven  2500" in result.out
    assert [body["limit"] for body in bodies] == [2500, 1500, 500]
    assert len({body["id"] for body in bodies}) == 3
    assert all(body["all"] is True and body["reason"] == "why" for body in bodies)


def test_more_ids_than_a_call_takes_are_several_calls(unlost: Command) -> None:
    replies = [Reply(202, b'{"redriven": %d, "more": false, "redrive": "r"}' % n)
               for n in (1_000, 200)]  # fmt: skip
    with scripted(*replies) as script:
        names = [f"t{number}" for number in range(1_200)]
        result = unlost("dead", "redrive", *names, "--url", script.url)
        bodies = [json.loads(body) for body in script.bodies]
    assert "redriven  1200" in result.out
    assert [name for body in bodies for name in body["taskIds"]] == names


def test_a_redrive_does_not_depend_on_one_before(client: Command, http: Http) -> None:
    kill(http, *"abcdefgh")
    assert "redriven  3" in client("dead", "redrive", "--all", "--limit", "3").out
    http.settle()
    assert "redriven  8" in client("dead", "redrive", "--all").out


def test_discarded_letters_are_cancelled_and_keep_their_history(
    client: Command, http: Http
) -> None:
    kill(http, "a", "b")
    result = client("dead", "discard", "a", "b", "--by", "me", "--reason", "spam")
    assert result.status == 0
    assert dead(client) == []
    found = http.task("a")
    assert found["state"] == "cancelled"
    assert "discard by me: spam" in client("task", "a").out


def test_a_letter_that_cannot_be_discarded_does_not_keep_the_others(
    client: Command, http: Http
) -> None:
    kill(http, "a", "b")
    result = client("dead", "discard", "a", "nobody", ".", "b")
    assert result.status == 1
    *named, why = result.err.splitlines()
    assert [line.split(":")[0] for line in named] == ["nobody", "."]
    assert why == "unlost: 2 of 4 ids could not be discarded"
    assert "discarded  2" in result.out
    assert dead(client) == []


def test_an_id_that_is_given_twice_is_discarded_once(client: Command, http: Http) -> None:
    kill(http, "a", "b")
    result = client("dead", "discard", "a", "b", "a")
    assert result.status == 0
    assert "discarded  2" in result.out


def test_the_only_letter_that_cannot_be_discarded_is_one_line(client: Command) -> None:
    result = client("dead", "discard", "nobody")
    assert result.status == 1
    assert "(404)" in result.complaint
    assert result.out == ""


def test_the_export_is_whole_and_its_payloads_are_untouched(client: Command, http: Http) -> None:
    text = '{"n":123456789012345678901234567890.10,"simulate":{"outcome":"reject"}}'
    http.process(f'{{"taskId": "big", "payload": {text}}}'.encode())
    kill(http, *(f"t{number}" for number in range(250)))
    result = client("dead", "export")
    lines = result.out.splitlines()
    letters = {letter["taskId"]: letter for letter in map(json.loads, lines)}
    assert len(lines) == len(letters) == 251
    assert f'"payload":{text}' in result.out
    assert "Traceback" in letters["big"]["attempts"][0]["error"]["traceback"]
    assert letters["big"]["error"]["type"] == "Reject"


def test_a_letter_is_one_line_by_any_rules_and_can_be_submitted_again(
    client: Command, http: Http
) -> None:
    payload = {"n": "a\u2028b\u2029c\x85d", "simulate": {"outcome": "reject"}}
    task = json.dumps({"taskId": "ends", "payload": payload}, ensure_ascii=False)
    http.process(task.encode())
    (line,) = client("dead", "export").out.splitlines()
    assert json.loads(line)["payload"] == payload
    sent = line[line.index('"payload":') + len('"payload":') :]
    _, end = json.JSONDecoder().raw_decode(sent)
    http.submit(f'{{"taskId": "ends", "payload": {sent[:end]}}}'.encode())


def test_the_export_can_be_narrowed(client: Command, http: Http) -> None:
    kill(http, "a")
    kill(http, "b", outcome="fail")
    (letter,) = client("dead", "export", "--error", "Reject").out.splitlines()
    assert json.loads(letter)["taskId"] == "a"
    assert client("dead", "export", "--type", "mail").out == ""
