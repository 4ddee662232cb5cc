"""What a page has somebody type does what it says, on a real service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.docs.pages import DOCS, ROOT, blocks, typed
from tests.docs.shell import run
from tests.process.service import Service, service


@asynccontextmanager
async def served(folder: Path, **settings: object) -> AsyncIterator[Service]:
    async with service(folder, "serve", backoff_base=0.01, **settings) as running:
        yield running


async def test_the_first_five_minutes_go_as_the_page_says(tmp_path: Path) -> None:
    page = DOCS / "start.md"
    steps = [command for command, _ in typed(page)]
    own = next(n for n, command in enumerate(steps) if "invoice.send" in command)
    said = ""
    async with served(tmp_path) as running:
        url = running.ready.split()[-1]
        for command in steps[:own]:
            said = run(command, url, tmp_path)
        assert "every promise holds" in said
    [code] = blocks(page, "python")
    (tmp_path / "app.py").write_text(code)
    async with served(tmp_path, handler="app:handlers") as running:
        url = running.ready.split()[-1]
        told = [run(command, url, tmp_path) for command in steps[own:]]
    good, bad = json.loads(told[1]), json.loads(told[3])
    assert (good["state"], good["result"]) == ("succeeded", {"sent": 7})
    assert (bad["state"], bad["attemptCount"]) == ("dead", 1)
    assert "Reject: no customer" in told[4]


async def test_the_calls_of_readme_and_http_page_answer_as_shown(tmp_path: Path) -> None:
    pages = [ROOT / "README.md", DOCS / "http.md"]
    calls = [step for page in pages for step in typed(page) if step[0].startswith("curl ")]
    assert len(calls) > 15
    async with served(tmp_path, failure_rate=0) as running:
        url = running.ready.split()[-1]
        for command, shown in calls:
            said = run(command, url, tmp_path)
            if shown:
                assert said.startswith(shown), command
            else:
                assert '"status":4' not in said, said
