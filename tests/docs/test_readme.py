"""The README's failures, step by step, show what it says one sees; and it stays short."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx

from tests.docs.pages import ROOT
from tests.docs.shell import run
from tests.process.service import Service, service
from unlost.task import Outcome, State

README = (ROOT / "README.md").read_text()
[FAILURES] = re.findall(r"(?s)## Try it with simulated failures\n(.*?)\n## ", README)
COUNTED = {"one": 1, "three": 3, "third": 3}


def step(title: str) -> str:
    """What stands behind a bold title, up to the next step."""
    [text] = re.findall(rf"(?s)\d\. \*\*{title}\*\*(.*?)(?=\n\d\. |\Z)", FAILURES)
    return str(text)


def typed(title: str) -> list[str]:
    """The commands of a step that can be typed as they stand."""
    found = re.findall(r"`([^`]*\bunlost [a-z][^`]*)`", step(title))
    return [command for command in found if "ID" not in command]


async def all_ended(url: str) -> dict[str, int]:
    """The counts by state, once nothing is outstanding."""
    async with httpx.AsyncClient(base_url=url) as client:
        while True:
            stats = (await client.get("/stats")).json()
            if not stats["outstanding"]:
                assert stats["lost"] == 0
                return {state: int(n) for state, n in stats["states"].items()}
            await asyncio.sleep(0.05)


async def test_the_failures_show_what_the_readme_says(tmp_path: Path) -> None:
    async with service(tmp_path, "serve", backoff_base=0.01, seed=7) as running:
        url = running.ready.split()[-1]
        [submit] = typed("Submit 1,000 tasks")
        assert "1000 accepted" in run(submit, url, tmp_path)
        assert "1000 replayed" in run(submit, url, tmp_path)
        counts = await all_ended(url)
        dead = counts["dead"]
        assert counts["succeeded"] == 1_000 - dead
        assert 10 < dead < 50  # the seed draws one of the runs that 27 is the middle of
        groups, letters = typed("Ask why")
        assert re.search(rf" {dead} +SimulatedFailure", run(groups, url, tmp_path))
        assert run(letters, url, tmp_path).count("SimulatedFailure") == dead
        assert len(running.events("task.dead_lettered")) == dead
        [redrive] = typed("Redrive")
        assert re.search(rf"redriven +{dead}\b", run(redrive, url, tmp_path))
        assert (await all_ended(url))["dead"] < 10
        await fates(running, url)
        [audit] = typed("Kill it")
        assert "every promise holds" in run(audit, url, tmp_path)


async def fates(running: Service, url: str) -> None:
    """Each payload of the table comes to the end that is beside it, one after the other: what
    kills a worker would cost its neighbours an attempt."""
    rows = re.findall(r"\| `(\{.*?\})`(?:, beside it `(.*?)`)? \| `(\w+)`(.*?) \|\n", FAILURES)
    assert len(rows) == 5
    for n, (payload, beside, state, rest) in enumerate(rows):
        body = {"taskId": f"fate-{n}", "payload": json.loads(payload)}
        if beside:
            body |= dict.fromkeys(json.loads(f"{{{beside}}}"), 0.1)  # the same, but sooner
        await submitted(url, body)
        record = await running.ended(f"fate-{n}")
        assert record.state is State(state)
        [count] = re.findall("|".join(COUNTED), rest)
        assert record.attempt_count == COUNTED[count]
        for outcome in set(re.findall(r"`(\w+)`", rest)) & set(Outcome):
            assert {attempt.outcome for attempt in record.attempts} == {outcome}
        if "`Reject`" in rest:
            assert record.error is not None
            assert record.error.type == "Reject"


async def submitted(url: str, body: dict[str, object]) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.post("/tasks", json=body)).status_code == 202


def test_it_can_be_read_in_three_minutes() -> None:
    assert len(README.splitlines()) <= 150
