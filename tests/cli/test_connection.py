"""What a command makes of what it finds where the service should be."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Command
from tests.cli.running import Place
from tests.cli.scripted import Reply, scripted


def test_the_refusal_of_the_service_is_one_line_that_says_it_once(client: Command) -> None:
    result = client("tasks", "--cursor", "nowhere")
    assert result.status == 1
    assert result.complaint == "unlost: cursor is not a cursor of this list (422)"


def test_a_fault_that_the_refusal_does_not_tell_is_added(unlost: Command) -> None:
    faults = [
        {"pointer": "#/type", "detail": "is too long"},
        {"pointer": "#/payload/x", "detail": "is odd"},
    ]
    problem = {"detail": "#/type is too long; and 1 more", "errors": faults}
    with scripted(Reply(422, json.dumps(problem).encode())) as script:
        said = unlost("stats", "--url", script.url).complaint
    assert said == "unlost: #/type is too long; and 1 more; #/payload/x: is odd (422)"


@pytest.mark.parametrize(
    "words",
    ["dead redrive x", "dead redrive x y", "dead redrive --group f --limit 1",
     "dead redrive x --canary", "redrives", "redrives x", "redrives x --stop", "dead discard x",
     "dead discard x y", "task x", "tasks", "dead list", "dead export", "stats", "audit"],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 202])
def test_no_command_takes_the_page_of_another_kind_of_server_for_done(
    unlost: Command, words: str, status: int
) -> None:
    with scripted(Reply(status, b"<html>hello</html>")) as script:
        result = unlost(*words.split(), "--url", script.url)
    assert result.status == 1
    assert "not the answer of an unlost service" in result.complaint
    assert "1" not in result.out


def test_a_refusal_that_is_no_problem_document_is_told_by_its_status(unlost: Command) -> None:
    with scripted(Reply(404, b"<html>")) as script:
        assert "404" in unlost("stats", "--url", script.url).complaint


def test_a_redirection_is_not_followed(unlost: Command) -> None:
    moved = Reply(301, headers={"location": "http://127.0.0.1:9/elsewhere"})
    with scripted(moved) as script:
        result = unlost("stats", "--url", script.url)
    assert result.status == 1
    assert "http://127.0.0.1:9/elsewhere" in result.complaint


def test_no_service_is_told_in_words_with_what_to_do_next(unlost: Command) -> None:
    said = unlost("stats").complaint
    assert "Errno" not in said
    assert "unlost serve" in said
    assert "--url" in said


@pytest.mark.parametrize(
    ("variable", "value"), [("UNLOST_URL", "localhost"), ("UNLOST_API_KEY", "two words")]
)
def test_a_wrong_variable_is_named_and_so_is_a_wrong_flag(
    unlost: Command, variable: str, value: str
) -> None:
    flag = "--" + variable.removeprefix("UNLOST_").lower().replace("_", "-")
    assert f"unlost: {variable} must be" in unlost("stats", **{variable: value}).complaint
    assert f"unlost: {flag} must be" in unlost("stats", flag, value).complaint


def test_a_file_without_a_key_is_told_before_anybody_is_asked(unlost: Command) -> None:
    (unlost.folder / "empty.key").write_text("\n")
    result = unlost("stats", UNLOST_API_KEY="@empty.key")
    assert (result.status, result.complaint) == (
        2,
        "unlost: the API key's file empty.key holds no key",
    )


def test_the_key_goes_along_and_proxies_are_left_out(unlost: Command) -> None:
    stats = b'{"accepted": 0, "outstanding": 0, "lost": 0, "states": {}}'
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    with scripted(Reply(200, stats)) as script:
        assert unlost("stats", "--url", script.url, "--api-key", "k1", **proxies).status == 0
        assert script.headers[0]["authorization"] == "Bearer k1"


def test_a_flag_beats_the_variable(unlost: Command, service: Place) -> None:
    assert unlost("stats", UNLOST_URL="http://127.0.0.1:9").status == 1
    assert unlost("stats", "--url", service.url, UNLOST_URL="http://127.0.0.1:9").status == 0


def test_an_empty_variable_counts_as_not_set(unlost: Command) -> None:
    assert "no service at http://127.0.0.1:8080" in unlost("stats", UNLOST_URL="").complaint


@pytest.mark.parametrize("name", [".", "..", "\udcff"])
@pytest.mark.parametrize("words", ["task", "dead show", "dead redrive", "dead discard"])
def test_an_id_that_no_task_can_have_is_not_asked_for(
    unlost: Command, words: str, name: str
) -> None:
    with scripted() as script:
        result = unlost(*words.split(), name, "--url", script.url)
        assert script.headers == []
    assert result.status == 1
    assert "no task can have" in result.complaint
