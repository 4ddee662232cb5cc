"""A whole service with tracing on, and a collector that listens on this machine."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.process.service import end, launch, service
from tests.traces.told import PARENT, SPAN, TRACE


class Received(NamedTuple):
    """A span as it came to the collector, and whose it is."""

    role: str
    service: str
    name: str
    trace: int
    id: int
    parent: int
    said: dict[str, str]


def received(body: bytes) -> Iterator[Received]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        whose = {one.key: one.value.string_value for one in resource.resource.attributes}
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield Received(
                whose["unlost.role"],
                whose["service.name"],
                span.name,
                int.from_bytes(span.trace_id),
                int.from_bytes(span.span_id),
                int.from_bytes(span.parent_span_id),
                {one.key: one.value.string_value for one in span.attributes},
            )


@contextmanager
def collector() -> Iterator[tuple[str, list[Received]]]:
    """A collector's URL, and what it has got so far."""
    got: list[Received] = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            got.extend(received(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Takes) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", got
        server.shutdown()
        thread.join()


async def test_a_collector_gets_one_trace_from_all_processes_at_the_latest_when_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as (url, got):
        monkeypatch.setenv("UNLOST_OTEL", "1")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        async with service(tmp_path, "serve", failure_rate=0, backoff_base=0.01) as running:
            address = running.ready.split()[-1]
            task = {"taskId": "a", "payload": {"simulate": {"outcome": "crash"}}, "maxRetries": 0}
            async with httpx.AsyncClient(base_url=address) as client:
                await client.post("/tasks", json=task, headers={"traceparent": PARENT})
                await running.ended("a")
                await client.post("/tasks", json={"taskId": "b", "payload": {}})
                await running.ended("b")
            assert not got
            assert await running.stop() == 0
    assert {one.service for one in got} == {"unlost"}
    spans = {(one.said["messaging.message.id"], one.role, one.name): one for one in got}
    assert sorted(spans) == [
        ("a", "api", "send default"),
        ("a", "supervisor", "settle default"),
        ("b", "api", "send default"),
        ("b", "worker", "process default"),
        ("b", "worker", "settle default"),
    ]
    send, lost = spans["a", "api", "send default"], spans["a", "supervisor", "settle default"]
    assert (send.trace, send.parent) == (TRACE, SPAN)
    assert (lost.trace, lost.parent) == (TRACE, send.id)
    assert lost.said["unlost.attempt.outcome"] == "lost"
    assert "unlost.settlement.reaped_from" in lost.said
    send, process = spans["b", "api", "send default"], spans["b", "worker", "process default"]
    assert (process.trace, process.parent) == (send.trace, send.id)


async def test_a_service_with_no_collector_works_and_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLOST_OTEL", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    async with service(tmp_path, "worker", failure_rate=0) as running:
        await running.submit("a")
        await running.ended("a")
        assert await running.stop() == 0
    assert running.events("traces.unsent")


def test_tracing_that_cannot_be_had_stops_the_start_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLOST_OTEL", "1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    process = launch(tmp_path, "api")
    try:
        _, said = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        end(process)
        raise
    assert process.returncode == 2
    assert said.startswith("unlost: a variable OTEL_… cannot be used: ")
    assert said.count("\n") == 1
