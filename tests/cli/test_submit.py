"""`unlost submit`: a file into the service, safely."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command, Http, http_to, ndjson
from tests.cli.running import Place, running
from tests.cli.scripted import Reply, batch_reply, scripted
from unlost.cli.client.ndjson import LONGEST_LINE


def sums(text: str) -> tuple[int, int, int]:
    found = json.loads(text)
    return found["accepted"], found["replayed"], found["rejected"]


def write(folder: Path, data: bytes) -> str:
    (folder / "tasks.ndjson").write_bytes(data)
    return "tasks.ndjson"


def test_tasks_and_bare_payloads_are_accepted_and_processed(client: Command, http: Http) -> None:
    file = write(client.folder, ndjson({"taskId": "a", "payload": {}}, {"n": 1}, {"n": 2}))
    result = client("submit", file)
    assert result.status == 0
    assert "3 accepted, 0 replayed, 0 rejected" in result.out
    assert http.settle()["succeeded"] == 3


def test_submitting_a_file_again_changes_nothing(client: Command, http: Http) -> None:
    file = write(client.folder, ndjson({"n": 1}, {"n": 1}, {"taskId": "a", "payload": {}}))
    assert sums(client("submit", file, "--json").out) == (3, 0, 0)
    assert sums(client("submit", file, "--json").out) == (0, 3, 0)
    assert sum(http.settle().values()) == 3


def test_many_batches_from_standard_input_all_arrive(client: Command, http: Http) -> None:
    data = ndjson(*({"n": number} for number in range(3_500)))
    result = client.fed(data, "submit", "-", "--json")
    assert sums(result.out) == (3_500, 0, 0)
    assert http.settle()["succeeded"] == 3_500


def test_a_file_may_come_as_standard_input(client: Command) -> None:
    file = client.folder / write(client.folder, ndjson({"n": 1}))
    assert client.fed(file.read_bytes(), "submit", "-").status == 0


def test_rejected_lines_are_listed_and_the_others_stand(client: Command) -> None:
    lines = [
        b'{"taskId": "good", "payload": {}}',
        b"nonsense",
        b"",
        b'{"taskId": "bad", "payload": 5}',
        b'{"taskId": "good", "payload": {"other": 1}}',
        b'{"taskId": "long", "payload": {"text": "' + b"x" * LONGEST_LINE + b'"}}',
        b'"text"',
    ]
    result = client.fed(b"\n".join(lines), "submit", "-")
    assert result.status == 1
    assert "1 accepted, 0 replayed, 5 rejected" in result.out
    *listed, why = result.err.splitlines()
    assert why == "unlost: 5 lines were rejected"
    assert [line.split(":")[0].split(" (")[0] for line in listed] == [
        "line 2", "line 4", "line 5", "line 6", "line 7",
    ]  # fmt: skip
    assert "(bad): 422" in listed[1]
    assert "(good): 409" in listed[2]
    assert "413" in listed[3]


def test_the_list_of_rejected_lines_is_bounded(client: Command) -> None:
    result = client.fed(b"nonsense\n" * 250, "submit", "-")
    assert result.status == 1
    *listed, more, why = result.err.splitlines()
    assert len(listed) == 100
    assert (more, why) == ("and 150 more", "unlost: 250 lines were rejected")
    as_json = client.fed(b"nonsense\n" * 250, "submit", "-", "--json")
    assert as_json.complaint == "unlost: 250 lines were rejected"
    found = json.loads(as_json.out)
    assert found["rejected"] == 250
    assert len(found["rejections"]) == 100


def test_options_apply_to_bare_payloads(client: Command) -> None:
    options = ("--type", "mail", "--priority", "-7", "--max-retries", "0", "--key", "ann")
    assert client.fed(ndjson({"n": 1}), "submit", "-", *options).status == 0
    (task,) = json.loads(client("tasks", "--json").out)["tasks"]
    assert task["type"] == "mail"
    assert task["maxRetries"] == 0
    assert task["key"] == "ann"
    assert "key        ann\n" in client("task", task["taskId"]).out


def test_a_payload_arrives_as_it_was_written(client: Command, http: Http) -> None:
    text = b'{"n":123456789012345678901234567890.10,"z":"\\u00e9","a":1e400}'
    client.fed(text, "submit", "-")
    assert f'"payload":{text.decode()}' in http.texts()


def test_what_comes_slowly_is_not_held_back(client: Command) -> None:
    with client.start("submit", "-") as process:
        assert process.stdin is not None
        process.stdin.write(ndjson({"taskId": "early", "payload": {}}))
        process.stdin.flush()
        while client("task", "early").status != 0:
            assert process.poll() is None
        process.stdin.write(ndjson({"taskId": "late", "payload": {}}))
        process.stdin.close()
        assert process.stdout is not None
        assert b"2 accepted" in process.stdout.read()


def test_a_missing_file_is_one_line_and_status_1(unlost: Command) -> None:
    result = unlost("submit", "missing.ndjson")
    assert result.status == 1
    assert "missing.ndjson" in result.complaint


def test_an_unknown_flag_is_not_taken_for_a_file(unlost: Command) -> None:
    assert unlost("submit", "--frobnicate").status == 2


def test_an_empty_file_is_nothing_to_do(unlost: Command) -> None:
    assert "0 accepted" in unlost("submit", write(unlost.folder, b"\n\n")).out


def test_a_wrong_address_is_told_within_seconds(unlost: Command) -> None:
    result = unlost.fed(ndjson({"n": 1}), "submit", "-")
    assert result.status == 1
    assert "no service at http://127.0.0.1:9" in result.complaint


def test_what_is_in_by_then_is_told_when_the_service_goes_away(unlost: Command) -> None:
    refusal = Reply(401, b'{"detail": "the key is not known"}')
    with (
        scripted(batch_reply(202, 202), refusal) as script,
        unlost.start("submit", "-", "--url", script.url) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(ndjson({"n": 1}, {"n": 2}))
        process.stdin.flush()
        assert script.asked.wait(30)
        out, err = process.communicate(ndjson({"n": 3}), timeout=10)
    assert process.returncode == 1
    assert out == b""
    assert err.count(b"\n") == 1
    assert b"the key is not known (401); " in err
    assert b"; 2 tasks are in" in err


def test_a_restart_of_the_service_loses_and_repeats_nothing(unlost: Command) -> None:
    ledger = f"sqlite:///{unlost.folder / 'unlost.db'}"
    with running(ledger=ledger) as first:
        client = Command(unlost.folder, {"UNLOST_URL": first.url})
        process = client.start("submit", "-", "--json")
        assert process.stdin is not None
        process.stdin.write(ndjson({"taskId": "before", "payload": {}}))
        process.stdin.flush()
        while client("task", "before").status != 0:
            assert process.poll() is None
    process.stdin.write(ndjson({"taskId": "between", "payload": {}}))
    process.stdin.flush()
    with running(first.port, ledger):
        with process:
            out, _ = process.communicate(ndjson({"taskId": "after", "payload": {}}), timeout=30)
        accepted, replayed, rejected = sums(out.decode())
        assert accepted + replayed == 3
        assert rejected == 0
        with http_to(first.url) as http:
            assert http.settle()["succeeded"] == 3


def test_submitting_needs_no_key_that_the_service_does_not_want(
    unlost: Command, service: Place
) -> None:
    assert unlost.fed(ndjson({"n": 1}), "submit", "-", "--url", service.url + "/").status == 0
