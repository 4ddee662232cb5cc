"""`unlost serve`, `api` and `worker`, as the other commands meet them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.conftest import Command, doomed, http_to

QUICK = ("--workers", "1", "--grace", "1", "--failure-rate", "0")
READY = b"unlost is listening on "


@contextmanager
def serving(unlost: Command, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A service and its address."""
    process = unlost.start("serve", "--port", "0", *QUICK, *words)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith(READY), line
        yield process, line.removeprefix(READY).decode().strip()
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_service_says_where_it_is_and_drains_when_told(
    unlost: Command, number: signal.Signals
) -> None:
    with serving(unlost) as (process, url):
        assert unlost("stats", "--url", url).status == 0
        process.send_signal(number)
        assert process.wait(30) == 0
    assert (unlost.folder / "unlost.db").exists()


def test_the_records_can_be_audited_without_a_service_and_beside_one(unlost: Command) -> None:
    with serving(unlost, "--ledger", "sqlite:///own.db") as (_, url):
        with http_to(url) as http:
            http.process(doomed("a", "b"))
        beside = unlost.fed(b"", "audit", "--ledger", "sqlite:///own.db", "--json")
        asked = unlost("audit", "--json", "--url", url)
    after = unlost.fed(b"", "audit", "--ledger", "sqlite:///own.db", "--json")
    for result in (beside, asked, after):
        assert result.status == 0, result.err
        assert json.loads(result.out)["states"]["dead"] == 2
        assert json.loads(result.out)["ok"] is True


@pytest.mark.parametrize("command", ["serve", "api"])
def test_a_port_that_is_taken_is_one_line_and_status_1(unlost: Command, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = unlost.fed(b"", command, "--port", str(port))
    assert result.status == 1
    assert str(port) in result.complaint


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_what_is_no_ledger_is_one_line_and_status_1(unlost: Command, command: str) -> None:
    (unlost.folder / "text.db").write_text("this is not a database, whatever its name says\n" * 99)
    result = unlost.fed(b"", command, "--port", "0", "--ledger", "sqlite:///text.db")
    assert result.status == 1
    assert "text.db" in result.complaint


def test_handlers_that_cannot_be_loaded_are_one_line(unlost: Command) -> None:
    result = unlost.fed(b"", "serve", "--port", "0", "--handler", "missing_module:handlers")
    assert result.status == 2
    assert "missing_module" in result.complaint


@pytest.mark.parametrize("command", ["serve", "api", "worker"])
@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite:///"])
def test_a_url_that_is_no_ledgers_is_one_line_and_status_2(
    unlost: Command, command: str, url: str
) -> None:
    result = unlost.fed(b"", command, "--port", "0", "--ledger", url)
    assert result.status == 2
    assert url.partition(":")[0] in result.complaint
    assert list(unlost.folder.iterdir()) == []
