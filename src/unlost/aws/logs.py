"""The functions' log: the contract's lines, with what Lambda knows of the invocation.

    {"at": "...", "level": "info", "event": "...", "service": "...", "requestId": "...", ...}

Metrics are lines of the same stream, in CloudWatch's embedded metric format.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any, Final, TextIO

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from unlost.telemetry import logs

NAMESPACE: Final = "Unlost"

_OF_INVOCATION = ("requestId", "coldStart")


class Formatter(LambdaPowertoolsFormatter):
    """Makes a record the contract's line, with the keys that Powertools' logger was given."""

    def __init__(self, service: str) -> None:
        super().__init__(log_record_order=[])
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        return _text(logs.line(record, self.known()))

    def known(self) -> dict[str, object]:
        """What is known of the invocation."""
        known = {"service": self._service} | {
            name: self.log_format[name] for name in _OF_INVOCATION if name in self.log_format
        }
        trace = self._get_latest_trace_id()
        return known | {"xrayTraceId": trace} if trace else known


def _text(line: bytes) -> str:
    return line.decode().removesuffix("\n")


class Output:
    """Whole lines to a stream, from any thread.  Raises OSError if nobody reads it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Write a line that has no line feed yet."""
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


class Handler(logging.Handler):
    """Gives every record's line to an output."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._output.write(self.format(record))
        except Exception:  # noqa: BLE001  logging's own rule: a bad record must not fail its caller
            self.handleError(record)


class Logs:
    """This process's log, on `stream`: ours from level info on (or as Powertools' variables say),
    others' as they are set."""

    def __init__(self, stream: TextIO) -> None:
        self.output = Output(stream)
        self.service = os.environ.get("POWERTOOLS_SERVICE_NAME") or "unlost"
        self._namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or NAMESPACE
        self._formatter = Formatter(self.service)
        self._warm = False
        handler = Handler(self.output)
        handler.setFormatter(self._formatter)
        powertools = Logger(self.service, logger_handler=handler, logger_formatter=self._formatter)
        logging.getLogger(self.service).removeHandler(handler)  # it is the root's, once
        logging.getLogger().handlers[:] = [handler]
        self._level = powertools.log_level
        logs.send_events(self._event)

    def _event(
        self, level: int, event: str, members: Mapping[str, object], error: BaseException | None
    ) -> None:
        if level >= self._level:
            known = self._formatter.known()
            self.output.write(_text(logs.event_line(level, event, known, members, error)))

    def invoked(self, context: Any) -> None:
        """Have what follows in the log belong to this invocation."""
        request = getattr(context, "aws_request_id", None)
        self._formatter.append_keys(requestId=request, coldStart=not self._warm)
        self._warm = True

    def measure(
        self, counts: Mapping[str, int], seconds: Mapping[str, float] | None = None
    ) -> None:
        """Write metrics; a count of 0 is a count."""
        from aws_lambda_powertools.metrics import (  # noqa: PLC0415  `api` measures nothing
            EphemeralMetrics,
            MetricUnit,
        )

        metrics = EphemeralMetrics(namespace=self._namespace, service=self.service)
        for name, count in counts.items():
            metrics.add_metric(name, MetricUnit.Count, count)
        for name, value in (seconds or {}).items():
            metrics.add_metric(name, MetricUnit.Seconds, value)
        if counts or seconds:
            self.output.write(_text(logs.encode(metrics.serialize_metric_set())))
