"""As much of Lambda's Runtime API as AWS's own runtime client needs to run one event."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread

Answer = tuple[str, object]
"""How it ended (`response`, or `error` before or in the handler) and with what."""


class RuntimeApi(ThreadingHTTPServer):
    """Gives each event of `events` to the runtime, and puts what comes of it into `answers`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.events: Queue[object] = Queue()
        self.answers: Queue[Answer] = Queue()
        self.address = f"127.0.0.1:{self.server_port}"


class _Exchange(BaseHTTPRequestHandler):
    server: RuntimeApi

    def do_GET(self) -> None:
        """The next event."""
        body = json.dumps(self.server.events.get()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(round(time.time() * 1000) + 60_000))
        self.send_header(
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:eu-central-1:000000000000:function:one",
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """What came of one, or that the handler could not be imported."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answers.put((self.path.rpartition("/")[2], json.loads(body)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: it would stand among the tests' own output."""


@contextmanager
def runtime_api() -> Iterator[RuntimeApi]:
    """One that is served until the block ends."""
    with RuntimeApi() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
