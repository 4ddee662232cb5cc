"""What is different where a person sits at a terminal."""

from __future__ import annotations

import json
import signal

import pytest

from tests.cli.conftest import Command, Http, doomed, ndjson
from tests.cli.terminal import at_terminal


def test_a_submit_shows_how_far_it_is_and_how_fast(client: Command) -> None:
    file = client.folder / "tasks.ndjson"
    file.write_bytes(ndjson(*({"n": number} for number in range(2_500))))
    with at_terminal(client, "submit", str(file)) as terminal:
        assert terminal.close() == 0
    assert "100 %" in terminal.text
    assert "2500 tasks" in terminal.text
    assert "2500 accepted" in terminal.text


@pytest.mark.parametrize(
    ("words", "state"), [("dead redrive a b", "queued"), ("dead discard a b", "cancelled")]
)
def test_a_person_is_asked_first(client: Command, http: Http, words: str, state: str) -> None:
    http.process(doomed("a", "b"))
    with at_terminal(client, *words.split()) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type("\n")
        assert terminal.close() == 1
    assert "nothing was done" in terminal.text
    assert http.settle()["dead"] == 2
    with at_terminal(client, *words.split()) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type("yes\n")
        assert terminal.close() == 0
    redrives = http.task("a")["redriveCount"]
    assert redrives == (1 if state == "queued" else 0)
    assert http.settle().get("cancelled", 0) == (2 if state == "cancelled" else 0)


def test_yes_answers_for_the_person(client: Command, http: Http) -> None:
    http.process(doomed("a"))
    with at_terminal(client, "dead", "discard", "a", "--yes") as terminal:
        assert terminal.close() == 0
    assert "[y/N]" not in terminal.text


def test_ctrl_c_at_a_question_does_nothing(client: Command, http: Http) -> None:
    http.process(doomed("a"))
    with at_terminal(client, "dead", "discard", "a") as terminal:
        terminal.wait_for("[y/N]")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.close() == 130
    assert http.settle()["dead"] == 1


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_watched_counts_change_in_place_and_the_terminal_is_restored(
    client: Command, http: Http, number: signal.Signals, status: int
) -> None:
    with at_terminal(client, "stats", "--watch", "--every", "0.1") as terminal:
        terminal.wait_for("accepted 0")
        assert not terminal.is_restored()
        http.process(ndjson(*({"taskId": f"t{n}", "payload": {}} for n in range(37))))
        terminal.wait_for("accepted 37")
        terminal.process.send_signal(number)
        assert terminal.close() == status
    assert terminal.is_restored()
    assert terminal.text.rstrip().endswith(("▁", "█"))  # what was drawn last is left there
    assert "Traceback" not in terminal.text


def test_a_watch_without_a_service_says_so_and_draws_nothing(unlost: Command) -> None:
    with at_terminal(unlost, "stats", "--watch") as terminal:
        assert terminal.close() == 1
    assert terminal.is_restored()
    assert terminal.text.strip().startswith("unlost: no service at")


def test_the_live_view_fits_a_narrow_terminal(client: Command, http: Http) -> None:
    http.process(doomed("a", "b"))
    with at_terminal(client, "stats", "--watch", "--every", "0.1", columns=30) as terminal:
        terminal.wait_for("2 dead letters in 1 group")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.close() == 130
    last = terminal.text.rpartition("unlost http")[2]
    assert max(map(len, last.splitlines())) <= 30


def test_a_command_that_asks_says_what_it_will_do_to_how_many(client: Command, http: Http) -> None:
    http.process(doomed("a", "b", "c"))
    with at_terminal(client, "dead", "redrive", "--all", "--canary") as terminal:
        terminal.wait_for(
            "Redrive all dead letters: one first, the rest only if it succeeds? [y/N]"
        )
        terminal.type("y\n")
        assert terminal.close() == 1
    assert "2 dead letters are left" in terminal.text


def test_a_long_id_is_not_cut(client: Command, http: Http) -> None:
    name = "x" * 200
    http.process(ndjson({"taskId": name, "payload": {}}))
    with at_terminal(client, "tasks") as terminal:
        assert terminal.close() == 0
    assert terminal.text.count("x") == 200


@pytest.mark.parametrize("words", ["tasks", "dead list", "dead groups"])
@pytest.mark.parametrize("length", [36, 60])
def test_a_narrow_terminal_breaks_no_id_and_no_fingerprint(
    client: Command, http: Http, words: str, length: int
) -> None:
    names = [letter * length for letter in "xyz"]
    http.process(doomed(*names, outcome="fail"))
    (group,) = json.loads(client("dead", "groups", "--json").out)["groups"]
    with at_terminal(client, *words.split(), columns=80) as terminal:
        assert terminal.close() == 0
    lines = terminal.text.splitlines()
    shown = [line.split()[0] for line in lines if line.strip()]
    assert max(map(len, lines)) <= 80
    for name in [group["fingerprint"]] if words == "dead groups" else names:
        assert shown.count(name) == 1
