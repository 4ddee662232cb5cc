"""A proxy that does to requests and answers what a test says: cuts them off, above all."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Fate(Enum):
    """What becomes of a request."""

    PASSES = auto()
    NEVER_CAME = auto()
    NO_ANSWER = auto()
    HALF_AN_ANSWER = auto()
    GATEWAY_TIMEOUT = auto()


@dataclass
class Cutting:
    """`fates` are those of the next requests; later ones pass.  `asked` is what came."""

    url: str
    fates: list[Fate] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def cutting(port: int) -> Iterator[Cutting]:
    """A proxy before the service on this port."""
    between = Cutting("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Between, between, port))
    between.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield between
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Between(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"

    def __init__(self, between: Cutting, port: int, *args: Any) -> None:
        self._between = between
        self._port = port
        super().__init__(*args)

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self._between.asked.append(f"{self.command} {self.path}")
        fate = self._between.fates.pop(0) if self._between.fates else Fate.PASSES
        self.close_connection = fate in (Fate.NEVER_CAME, Fate.NO_ANSWER, Fate.HALF_AN_ANSWER)
        if fate is Fate.NEVER_CAME:
            return
        status, answer = self._asked(body)
        if fate is Fate.GATEWAY_TIMEOUT:
            self._send(504, b"<html>", len(b"<html>"))
        elif fate is Fate.HALF_AN_ANSWER:
            self._send(status, answer[: len(answer) // 2], len(answer))
        elif fate is Fate.PASSES:
            self._send(status, answer, len(answer))

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815

    def _asked(self, body: bytes) -> tuple[int, bytes]:
        service = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {"content-type": self.headers.get("content-type", "application/json")}
        service.request(self.command, self.path, body or None, headers)
        answer = service.getresponse()
        found = answer.status, answer.read()
        service.close()
        return found

    def _send(self, status: int, body: bytes, length: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...
