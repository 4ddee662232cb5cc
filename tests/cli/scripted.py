"""A service that answers what it is told, for the troubles that a real one rarely has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


@dataclass(frozen=True)
class Reply:
    """One answer; `hang_up` breaks the connection in its place."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False


@dataclass
class Script:
    """What is to be answered, call by call, and what was asked."""

    url: str
    replies: list[Reply]
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: Event = field(default_factory=Event)


def batch_reply(*statuses: int) -> Reply:
    """The answer to a batch, a status for each task."""
    results = [{"taskId": f"t{at}", "status": status} for at, status in enumerate(statuses)]
    return Reply(200, json.dumps({"results": results}).encode())


@contextmanager
def scripted(*replies: Reply) -> Iterator[Script]:
    """Serve these replies in order on a free port."""
    script = Script("", list(replies))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            script.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
            script.asked.set()
            self._answer()

        def do_DELETE(self) -> None:
            self.do_POST()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            script.headers.append({key.lower(): value for key, value in self.headers.items()})
            reply = script.replies.pop(0)
            if reply.hang_up:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
