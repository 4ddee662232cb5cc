"""A DynamoDB and an SQS on loopback that are out of order in a given way, as HTTP has it.

The way is how the table's or the queue's name begins; it lasts `SECONDS` from the first call on
that name, then calls are answered.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 1.0

FAILING: dict[str, tuple[int, str]] = {
    "down": (500, "InternalServerError"),
    "throttled": (400, "ThrottlingException"),
    "never": (500, "InternalServerError"),
    "denied": (400, "AccessDeniedException"),
    "missing": (400, "ResourceNotFoundException"),
}
FOR_GOOD = frozenset({"never", "denied", "missing"})


class Outages:
    """`url` is where it answers; `asked` counts the calls by name."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: Counter[str] = Counter()
        self._first: dict[str, float] = {}
        self._lock = threading.Lock()

    def failing(self, name: str) -> str | None:
        """How a call on this name fails now."""
        way = name.partition("-")[0]
        with self._lock:
            self.asked[name] += 1
            since = time.monotonic() - self._first.setdefault(name, time.monotonic())
        return way if way in FOR_GOOD or since < SECONDS else None


@contextmanager
def outages() -> Iterator[Outages]:
    """One that runs until it is left."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    found = Outages(f"http://127.0.0.1:{server.server_port}")
    server.outages = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = body.get("TableName") or body["QueueUrl"].rpartition("/")[2]
        failing = self.server.outages.failing(name)  # type: ignore[attr-defined]
        if failing == "reset":
            never_linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, never_linger)
            self.connection.close()
            self.close_connection = True
        elif failing is not None:
            status, code = FAILING[failing]
            self._answer(status, {"__type": f"com.amazonaws#{code}", "message": "out of order"})
        else:
            entries = body.get("Entries", ())
            sent = [{"Id": one["Id"], "MessageId": "m", "MD5OfMessageBody": ""} for one in entries]
            self._answer(200, {"Successful": sent, "Failed": []} if entries else {})

    def _answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass
