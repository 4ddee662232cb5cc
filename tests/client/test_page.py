"""What the page about clients shows does what it says."""

from __future__ import annotations

import pytest

from tests.cli.running import Place
from tests.docs.pages import DOCS, blocks
from unlost import Client
from unlost.client import AsyncClient

PAGE = DOCS / "client.md"


def test_the_examples_run(
    service: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNLOST_URL", service.url)
    with Client(service.url) as client:
        before = client.stats().accepted
        for block in blocks(PAGE, "python"):
            code = block.replace("http://127.0.0.1:8080", service.url).replace("10_000", "1_000")
            exec(compile(code, PAGE, "exec"), {})
        assert client.stats().accepted == before + 1_001  # invoice-7 is one task
    assert capsys.readouterr().out == "succeeded None\n"


def test_every_call_is_on_the_page() -> None:
    text = PAGE.read_text()
    calls = {name for name in dir(AsyncClient) if not name.startswith("_")} - {"aclose"}
    groups = AsyncClient()
    for group in (groups.redrives, groups.schedules, groups.types):
        calls |= {name for name in dir(group) if not name.startswith("_")}
    assert [name for name in sorted(calls) if f"{name}(" not in text] == []
