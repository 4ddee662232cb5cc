"""`/metrics`: what scrapers can read, in both forms, and true."""

from __future__ import annotations

import re

import httpx
import prometheus_client.openmetrics.parser as openmetrics
import prometheus_client.parser as prometheus
import pytest
from prometheus_client import Metric

from tests.api.conftest import serving
from tests.conformance.scheduling import made
from tests.conformance.stage import Clock, Stage
from unlost.api.answers.exposition import OPENMETRICS, PROMETHEUS, wanted
from unlost.ledger.measured import Measured
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.limits.control import Change
from unlost.redrive import Named, Redrive
from unlost.task import State
from unlost.telemetry.measures import MOST_TYPES, Histogram, Measures, OfCall, OfType

OURS = "application/openmetrics-text;version=1.0.0"
SCRAPER = f"{OURS},text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(families: list[Metric]) -> Samples:
    found = [one for family in families for one in family.samples]
    names = {(one.name, frozenset(one.labels.items())): one.value for one in found}
    assert len(names) == len(found), "a sample comes twice"
    return names


def read(answer: httpx.Response) -> list[Metric]:
    """The families of an answer, as Prometheus' own parsers read them."""
    parser = openmetrics if "openmetrics" in answer.headers["content-type"] else prometheus
    families = list(parser.text_string_to_metric_families(answer.text))
    assert all(family.documentation for family in families)
    assert len({family.name for family in families}) == len(families)
    return families


async def metrics(api: httpx.AsyncClient, accept: str = "*/*") -> Samples:
    return samples(read(await api.get("/metrics", headers={"Accept": accept})))


def at(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def measure(stage: Stage, process: str, measures: Measures) -> None:
    assert isinstance(stage.ledger, Measured)
    await stage.ledger.open_measures(process)
    assert await stage.ledger.publish_measures(process, measures)


@pytest.mark.parametrize("accept", [SCRAPER, "text/plain"])
async def test_what_the_ledger_counts_is_shown_as_it_is(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, accept: str
) -> None:
    await stage.into(State.SUCCEEDED, "a")
    await stage.ledger.dismiss("worker")
    await stage.ledger.dismiss("solo")
    await stage.submit("b", type="mail")
    for canary in (0, 1):
        await stage.ledger.add_redrive(Redrive(f"r{canary}", canary=canary), Named())
    await stage.ledger.step_redrive("r0")
    await made(stage, every=10)
    await stage.ledger.change("mail", Change(limit=7, rate=5, key_rate=0.5))
    clock.advance(12.5)
    found = await metrics(api, accept)
    assert at(found, "unlost_schedule_late_seconds") == 2.5
    assert at(found, "unlost_tasks_submitted_total") == 2
    assert at(found, "unlost_tasks_settled_total") == 1
    states = ("canary", "running", "stopped", "done")
    assert [at(found, "unlost_redrives", state=state) for state in states] == [1, 0, 0, 1]
    assert at(found, "unlost_redrive_still_seconds") == 12.5
    rates = [at(found, "unlost_type_rate", type="mail", of=of) for of in ("type", "key")]
    assert rates == [5, 0.5]
    assert at(found, "unlost_lost_tasks") == 0
    assert at(found, "unlost_tasks", state="queued") == 1
    assert at(found, "unlost_tasks", state="dead") == 0
    assert at(found, "unlost_oldest_waiting_seconds") == 12.5
    assert (at(found, "unlost_workers"), at(found, "unlost_unhandled_types")) == (0, 1)


async def test_what_processes_measured_is_shown_as_their_sum(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    waits = Histogram((1, 0, 2, *[0] * 15, 1), 4_000_100_000)
    seen = Measures({"mail": OfType({"lost": 1}, 2, waits)}, {"getTask": OfCall({404: 3})})
    await measure(stage, "p1", seen)
    await measure(stage, "p2", seen)
    for accept in (SCRAPER, "text/plain"):
        found = await metrics(api, accept)
        assert at(found, "unlost_attempts_total", type="mail", outcome="lost") == 2
        assert at(found, "unlost_dead_letters_total", type="mail") == 4
        assert at(found, "unlost_http_requests_total", operation="getTask", status="404") == 6
        name = "unlost_queue_wait_seconds"
        assert at(found, f"{name}_bucket", type="mail", le="0.001") == 2
        assert at(found, f"{name}_bucket", type="mail", le="3600.0") == 6
        assert at(found, f"{name}_bucket", type="mail", le="+Inf") == 8
        assert at(found, f"{name}_count", type="mail") == 8
        assert at(found, f"{name}_sum", type="mail") == 8000.2
        assert at(found, "unlost_attempt_duration_seconds_count", type="mail") == 0


async def test_both_forms_say_the_same_and_openmetrics_with_units_and_an_end(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await measure(stage, "p", Measures({"a": OfType({"failed": 1})}, {"x": OfCall({200: 1})}))
    plain, exact = [await api.get("/metrics", headers={"Accept": a}) for a in ("*/*", OURS)]
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert exact.headers["content-type"] == (
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
    assert plain.headers["vary"] == exact.headers["vary"] == "Accept"
    assert exact.text.endswith("\n# EOF\n")
    assert samples(read(plain)) == samples(read(exact))
    for family in read(exact):
        assert family.unit == ("seconds" if family.name.endswith("_seconds") else "")
        assert (family.type == "counter") == (f"# TYPE {family.name}_total c" in plain.text)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/plain", PROMETHEUS),
        ("application/json", PROMETHEUS),
        (OURS, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
        (SCRAPER, OPENMETRICS),
        (f"{OURS};escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5", OPENMETRICS),
        (f"{OURS};q=0.4,text/plain;version=0.0.4;q=0.5", PROMETHEUS),
        (f"{OURS};q=0", PROMETHEUS),
        (f"{OURS};q=0,*/*", PROMETHEUS),
        ("application/openmetrics-text;version=0.0.1,text/plain;q=0.1", PROMETHEUS),
        (f"text/plain;version=1.0.0,{OURS};q=0.1", OPENMETRICS),
        (f"{OURS};q=nonsense", PROMETHEUS),
        (";;,=,q=1;", PROMETHEUS),
    ],
)
def test_the_scraper_says_which_form_it_reads(accept: str, form: object) -> None:
    assert wanted(accept) is form


@pytest.mark.parametrize("accept", [OURS, "*/*"])
async def test_a_type_of_any_characters_is_read_back_as_it_was(
    api: httpx.AsyncClient, stage: Stage, accept: str
) -> None:
    name = 'a "b"\\ {c="d"} # \N{SNOWMAN} \\n \u2028'
    await measure(stage, "p", Measures({name: OfType({"failed": 1})}))
    found = await metrics(api, accept)
    assert at(found, "unlost_attempts_total", type=name, outcome="failed") == 1


async def test_a_flood_of_types_makes_so_many_series_and_no_more(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    for process in ("p", "q"):
        flood = {f"{process}{i}": OfType({"failed": 1}) for i in range(MOST_TYPES)}
        await measure(stage, process, Measures(flood))
    found = await metrics(api)
    shown = [labels for name, labels in found if name == "unlost_attempts_total"]
    assert len(shown) == MOST_TYPES + 1
    assert at(found, "unlost_attempts_total", type="other", outcome="failed") == MOST_TYPES


async def test_calls_are_counted_by_operation_and_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlost.telemetry.measuring.INTERVAL", 0.01)
    ledger = MemoryLedger(wall_clock)
    async with serving(ledger) as served:
        for method, path, status in (
            ("POST", "/tasks", 415),
            ("GET", "/tasks/nobody", 404),
            ("HEAD", "/tasks/nobody", 404),
            ("GET", "/nowhere/at/all", 404),
            ("DELETE", "/tasks", 405),
            ("GET", "/livez", 200),
        ):
            headers = {"Content-Type": "text/html"}
            answer = await served.client.request(method, path, headers=headers, content="x")
            assert answer.status_code == status
    calls = (await ledger.sum_measures()).calls
    assert {name: seen.statuses for name, seen in calls.items()} == {
        "submitTask": {415: 1},
        "getTask": {404: 2},
        "none": {404: 1, 405: 1},
        "live": {200: 1},
    }
    assert sum(calls["getTask"].durations.counts) == 2


async def test_a_cancelled_attempt_is_counted_by_who_cancels_it(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    ledger = MemoryLedger(clock)

    async def opener() -> MemoryLedger:
        return ledger

    stage = Stage(ledger, clock, opener)
    async with serving(ledger) as served:
        await stage.submit("runs", type="mail")
        await stage.run("runs")
        await stage.submit("waits", type="mail")
        await stage.retry(await stage.run("waits"), wait=60)
        for task_id, status in (("runs", 200), ("waits", 200), ("runs", 200)):
            answer = await served.client.post(f"/tasks/{task_id}/cancel")
            assert answer.status_code == status
    assert (await ledger.sum_measures()).types["mail"].outcomes == {"cancelled": 1}


async def test_every_line_is_within_the_conventions(api: httpx.AsyncClient, stage: Stage) -> None:
    await measure(stage, "p", Measures({"a": OfType({"failed": 1})}, {"x": OfCall({200: 1})}))
    for family in read(await api.get("/metrics", headers={"Accept": OURS})):
        assert re.fullmatch(r"unlost_[a-z]+(_[a-z]+)*", family.name)
        assert "total" not in family.name
        assert family.type in {"counter", "gauge", "histogram"}
        assert family.documentation.endswith(".")
