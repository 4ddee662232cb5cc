"""Real processes: whoever scrapes any of them gets the sum over all, whatever becomes of them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.process.service import Service, service
from unlost.outbox.opening import open_outbox

ROOT = Path(__file__).parents[2]
NAMED_IN = (
    "deploy/prometheus/unlost.rules.yml",
    "deploy/grafana/unlost.json",
    "docs/operations.md",
    "docs/metrics.md",
)
ACCEPT = {"Accept": "application/openmetrics-text;version=1.0.0"}


class Scraped:
    """What one scrape said."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
        self.samples = [sample for family in families for sample in family.samples]
        self.names = {sample.name for sample in self.samples}
        self.families = {
            family.name + ("_total" if family.type == "counter" else "") for family in families
        }
        self.labels = {(sample.name, label) for sample in self.samples for label in sample.labels}

    def sum(self, name: str, **labels: str) -> float:
        """The sum over all series with these labels."""
        return sum(
            float(sample.value)
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def counters(self) -> dict[tuple[str, str], float]:
        """All that must never fall."""
        growing = ("_total", "_bucket", "_count", "_sum")
        return {
            (sample.name, str(sorted(sample.labels.items()))): sample.value
            for sample in self.samples
            if sample.name.endswith(growing)
        }


class Scraper:
    """Scrapes services like a Prometheus, and sees to it that no counter ever falls."""

    def __init__(self, *services: Service) -> None:
        self._urls = [f"{one.ready.split()[-1]}/metrics" for one in services]
        self._seen: dict[tuple[str, str], float] = {}

    async def scrape(self) -> list[Scraped]:
        """One scrape of each, one after the other, as through a load balancer."""
        found = []
        async with httpx.AsyncClient() as client:
            for url in self._urls:
                answer = await client.get(url, headers=ACCEPT)
                scraped = Scraped(answer.raise_for_status().text)
                counters = scraped.counters
                fallen = {key for key, value in self._seen.items() if counters.get(key, 0) < value}
                assert not fallen
                self._seen = counters
                found.append(scraped)
        return found

    async def until(self, holds: Callable[[Scraped], bool], within: float = 15) -> list[Scraped]:
        """The scrapes, once this holds for all of them."""
        end = time.monotonic() + within
        while not all(map(holds, found := await self.scrape())):
            assert time.monotonic() < end, found[0].counters
            await asyncio.sleep(0.1)
        return found


def attempts(number: int) -> Callable[[Scraped], bool]:
    return lambda scraped: scraped.sum("unlost_attempts_total", outcome="succeeded") == number


async def run(one: Service, *task_ids: str, **options: str) -> None:
    await one.submit(*task_ids, **options)
    for task_id in task_ids:
        await one.ended(task_id)


def must_hold_all_names(scraped: Scraped) -> None:
    """The rules, the dashboard and the documents speak only of what there is."""
    for file in NAMED_IN:
        used = set(re.findall(r"\bunlost_[a-z_]+", (ROOT / file).read_text()))
        assert used
        assert used <= scraped.names | scraped.families, file
    table = (ROOT / "docs/metrics.md").read_text()
    rows = dict(re.findall(r"(?m)^\| `(unlost_[a-z_]+)` \|([^|]*)\|", table))
    assert rows.keys() == scraped.families
    for name, told in rows.items():
        bases = {name, f"{name}_bucket"}
        shown = {label for base, label in scraped.labels if base in bases} - {"le"}
        assert set(re.findall(r"`([a-z]+)`", told)) == shown, name


async def test_any_api_tells_the_sum_over_all_processes_also_those_that_were_killed(
    tmp_path: Path,
) -> None:
    handler = {"handler": "process_app:handlers"}
    outbox = f"sqlite:///{tmp_path / 'app.db'}"
    open_outbox(outbox).create()
    async with (
        service(tmp_path, "serve", outbox=outbox, **handler) as first,
        service(tmp_path, "api", outbox=outbox) as second,
        service(tmp_path, "worker", **handler) as elsewhere,
    ):
        scraper = Scraper(first, second)
        await run(first, *(f"a{i}" for i in range(20)), type="works")
        await scraper.until(attempts(20))

        await first.submit("killed", type="waits once")
        await first.running("killed")
        for one in (first, elsewhere):
            os.kill(one.workers()[0], signal.SIGKILL)
        await first.ended("killed")
        await run(first, *(f"b{i}" for i in range(20)), type="works")
        assert await elsewhere.stop() == 0
        await run(first, "excused", type="is excused once")
        await first.submit("cancelled", type="tells its cancel")
        await first.running("cancelled")
        async with httpx.AsyncClient(base_url=second.ready.split()[-1]) as client:
            await client.post("/tasks/cancelled/cancel")
            await client.get("/nowhere")
            (await client.patch("/types/rated", json={"ratePerSecond": 5})).raise_for_status()

        def all_told(scraped: Scraped) -> bool:
            outcomes = {
                word: scraped.sum("unlost_attempts_total", outcome=word)
                for word in ("succeeded", "lost", "cancelled", "failed")
            }
            return (
                outcomes == {"succeeded": 42, "lost": 1, "cancelled": 1, "failed": 1}
                and scraped.sum("unlost_attempts_excused_total") == 1
                and scraped.sum("unlost_queue_wait_seconds_count") >= 44  # of 45: one was killed
                and scraped.sum("unlost_http_requests_total", operation="cancelTask") == 1
                and scraped.sum("unlost_refused_total", reason="not-found") == 1
            )

        for scraped in await scraper.until(all_told):
            assert scraped.sum("unlost_attempts_total") == 45
            assert scraped.sum("unlost_attempt_duration_seconds_count") == 43
            assert scraped.sum("unlost_tasks_submitted_total") == 43
            assert scraped.sum("unlost_tasks_settled_total") == 43
            assert scraped.sum("unlost_workers") == 1
            must_hold_all_names(scraped)
