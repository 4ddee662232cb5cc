"""The functions of a place as Lambda runs them: in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.aws.place import Place

ROOT = Path(__file__).parents[2]


@dataclass
class Run:
    """How a function's process ended, what it answered, and its log."""

    status: int
    answers: list[Any]
    out: str
    err: str

    @property
    def log(self) -> list[dict[str, Any]]:
        """Every line that it printed is a JSON object."""
        return [json.loads(line) for line in self.out.splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line.get("event") == name]


class Functions:
    """The functions of a place."""

    def __init__(self, place: Place, environment: Mapping[str, str], folder: Path) -> None:
        self.place = place
        self._folder = folder
        self._environment = {
            **environment,
            "PYTHONPATH": str(ROOT),
            "UNLOST_TABLE": place.table.name,
            "UNLOST_QUEUE_URL": place.queues.work,
            "UNLOST_DEAD_LETTER_QUEUE_URL": place.queues.dead,
            "UNLOST_HANDLER": "tests.aws.aws_app:handlers",
            "UNLOST_KEYS": "off",
            "POWERTOOLS_SERVICE_NAME": "tasks",
        }

    def start(
        self, name: str, *events: object, seconds: float = 60, **variables: str
    ) -> subprocess.Popen[str]:
        """Start a function; it gets these events, and so many seconds for each."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.aws.invoke", f"unlost.aws.{name}", self._answers],
            cwd=self._folder,
            env=self._environment | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stdin: IO[str] = process.stdin  # type: ignore[assignment]
        stdin.write(
            "".join(json.dumps({"event": event, "seconds": seconds}) + "\n" for event in events)
        )
        stdin.flush()
        return process

    def ended(self, process: subprocess.Popen[str]) -> Run:
        """Let it come to its end."""
        with process:
            out, err = process.communicate(timeout=60)
        lines = self._answers.read_text().splitlines() if self._answers.exists() else []
        return Run(process.returncode, [json.loads(line) for line in lines], out, err)

    def run(self, name: str, *events: object, seconds: float = 60, **variables: str) -> Run:
        return self.ended(self.start(name, *events, seconds=seconds, **variables))

    @property
    def _answers(self) -> Path:
        return self._folder / "answers"


def batch(*records: object) -> dict[str, object]:
    return {"Records": list(records)}


def request(method: str, path: str, body: str = "") -> dict[str, Any]:
    """A call as an HTTP API of API Gateway hands it over."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "x.execute-api.amazonaws.com"},
        "requestContext": {
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
            },
            "stage": "$default",
        },
        "body": body,
        "isBase64Encoded": False,
    }
