"""Tracing is off unless asked for, and then nobody pays for it."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from starlette.types import Receive, Scope, Send

from tests.traces.told import Told
from unlost.api.http.endpoints import traced
from unlost.settings import Settings, WrongSetting, resolve
from unlost.supervisor.run import run
from unlost.tracing import OFF, CannotTrace, open_tracing
from unlost.tracing.otel import Spans

EVERYTHING = """
import sys
import unlost.cli.app, unlost.cli.commands.serve, unlost.api.app, unlost.api.server
import unlost.supervisor.child.__main__, unlost.supervisor.child.serving, unlost.supervisor.run
import unlost.upkeep.sweeper, unlost.worker.worker
from unlost.tracing import OFF, open_tracing
assert open_tracing("worker", on=False) is OFF
print([name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf"))])
"""

THEIRS = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
theirs = TracerProvider(shutdown_on_exit=False)
trace.set_tracer_provider(theirs)
from unlost.tracing import open_tracing
open_tracing("worker", on=True)
print(trace.get_tracer_provider() is theirs, theirs._active_span_processor._span_processors)
"""


def output(program: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_where_it_is_off_nothing_of_it_is_imported() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert output(EVERYTHING, **endpoint) == "[]"


def test_where_it_is_off_the_way_of_a_submit_is_as_short_as_before() -> None:
    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    assert traced(endpoint, OFF) is endpoint
    assert traced(endpoint, Told().tracing) is not endpoint


def test_spans_go_where_the_handlers_module_sends_its_own() -> None:
    assert output(THEIRS) == "True ()"


def test_a_variable_that_makes_no_sense_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    with pytest.raises(CannotTrace, match=r"OTEL_… cannot be used: max_queue_size must be"):
        open_tracing("worker", on=True)


def test_the_setting_is_a_switch() -> None:
    assert resolve({}, {}).otel is False
    assert resolve({}, {"UNLOST_OTEL": "1"}).otel is True
    assert resolve({"otel": True}, {"UNLOST_OTEL": "0"}).otel is True
    with pytest.raises(WrongSetting, match="UNLOST_OTEL must be true or false, not 'perhaps'"):
        resolve({}, {"UNLOST_OTEL": "perhaps"})


def test_without_the_packages_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "unlost.tracing.otel", None)
    assert open_tracing("api", on=False) is OFF
    with pytest.raises(CannotTrace, match=r"pip install 'unlost\[otel\]'"):
        open_tracing("api", on=True)
    with pytest.raises(WrongSetting, match=r"pip install"):
        run(Settings(otel=True), {"worker"})


def test_a_collector_that_does_not_answer_holds_up_no_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    never = threading.Event()
    Spans(Told().provider, never.wait).close(0.05)
    never.set()
    assert [record.message for record in caplog.records] == ["traces.unsent"]
