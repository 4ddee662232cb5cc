"""Errors say what to do next."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.cli.conftest import Command, Http, doomed, ndjson
from tests.cli.ledgers import idle
from tests.cli.scripted import Reply, scripted


@pytest.mark.parametrize(
    ("words", "advice"),
    [((), "it wants a key: --api-key"), (("--api-key", "k"), "is the key right? --api-key")],
)
def test_a_key_that_is_wanted_or_wrong(
    unlost: Command, words: tuple[str, ...], advice: str
) -> None:
    with scripted(Reply(401, b'{"detail": "no"}')) as script:
        said = unlost("stats", "--url", script.url, *words).complaint
    assert advice in said
    assert "UNLOST_API_KEY" in said


def test_a_key_without_the_scope(unlost: Command) -> None:
    with scripted(
        Reply(403, b'{"type": "urn:unlost:problem:forbidden", "detail": "no scope"}')
    ) as script:
        said = unlost("stats", "--url", script.url, "--api-key", "k").complaint
    assert "unlost key create" in said


@pytest.mark.parametrize("words", ["task", "dead show", "dead redrive", "dead discard"])
def test_an_unknown_id_lists_those_that_are_like_it(
    client: Command, http: Http, words: str
) -> None:
    http.process(ndjson({"taskId": "order-17", "payload": {}}, {"taskId": "other", "payload": {}}))
    said = client(*words.split(), "order-71").complaint
    assert said.endswith("; did you mean order-17?")
    assert "`unlost tasks --id-prefix`" in client(*words.split(), "invoice").complaint


def test_a_password_in_the_url_is_not_shown(unlost: Command) -> None:
    said = unlost("stats", "--url", "http://ann:s3cret@127.0.0.1:9").complaint
    assert "no service at http://ann:***@127.0.0.1:9" in said
    assert "s3cret" not in said + unlost("stats", "--url", "ftp://ann:s3cret@x").complaint


@pytest.mark.parametrize("words", ["export", "purge --older-than 1", "types", "audit"])
def test_a_ledger_that_is_not_there(unlost: Command, words: str) -> None:
    said = unlost(*words.split(), "--ledger", "sqlite:///none.db").complaint
    assert "does not exist; name another one with --ledger; `unlost serve` makes one" in said


def test_a_ledger_that_another_program_has_locked(unlost: Command) -> None:
    path = unlost.folder / "unlost.db"
    asyncio.run(idle(f"sqlite:///{path}"))
    with closing(apsw.Connection(str(path))) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")
        said = unlost("export", "--ledger", "sqlite:///unlost.db").complaint
    assert "is locked by another program; try again in a moment, or let `unlost doctor`" in said


def test_a_ledger_that_does_not_answer(unlost: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = unlost("types", "--ledger", f"postgresql://u:s3cret@127.0.0.1:{port}/db").complaint
    assert "cannot be reached" in said
    assert "`unlost doctor`" in said
    assert "s3cret" not in said


def test_a_port_that_is_taken(unlost: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        said = unlost("serve", "--port", port).complaint
    assert "--port 0 takes a free one" in said
    (unlost.folder / "unlost.db").write_text("no database")
    assert "`unlost doctor` with the same settings" in unlost("serve", "--port", "0").complaint


def test_a_command_that_is_almost_one(unlost: Command) -> None:
    assert 'Did you mean "redrive"?' in unlost("dead", "redirve").complaint
    assert 'Did you mean "serve"?' in unlost("sevre").complaint


@pytest.mark.parametrize(
    ("spec", "advice"),
    [
        ("shop_jobs:handlrs", "did you mean 'handlers'?"),
        ("shop_job:handlers", "did you mean 'shop_jobs'?"),
    ],
)
def test_a_handler_that_is_almost_one(unlost: Command, spec: str, advice: str) -> None:
    (unlost.folder / "shop_jobs.py").write_text("def handlers(task): ...\n")
    result = unlost.fed(b"", "doctor", "--json", "--port", "0", "--handler", spec)
    (found,) = (one for one in json.loads(result.out)["checks"] if one["check"] == "handler")
    assert found["health"] == "fail"
    assert advice in found["detail"]


def test_a_canary_is_not_for_an_edited_payload(unlost: Command) -> None:
    assert unlost("dead", "redrive", "a", "--canary", "--payload", "p").status == 2
    assert unlost("dead", "redrive", "a", "--tolerate", "1").status == 2
    assert unlost("dead", "redrive", "--all", "--canary", "--patience", "0").status == 2
    assert unlost("dead", "redrive", "--all", "--canary=1001").status == 2


def test_what_could_not_be_discarded_is_in_the_json(client: Command, http: Http) -> None:
    http.process(doomed("a", "b"))
    result = client("dead", "discard", "a", "nobody", "b", "--json")
    assert result.status == 1
    sums = json.loads(result.out)
    assert sums["discarded"] == 2
    assert [one["taskId"] for one in sums["refused"]] == ["nobody"]
    again = json.loads(client("dead", "redrive", "--all", "--json").out)
    assert again["redriven"] == 0
    assert Path(client.folder).is_dir()
