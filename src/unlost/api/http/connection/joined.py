"""Sending an answer in as few writes as it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

MOST_JOINED: Final = 16 * 1024
"""Bytes of a body that is copied behind its head; larger ones are sent as they are, so that many
who do not read the same file share it."""


class Joined:
    """Sends an answer that is small and whole in one write; any other as uvicorn does.

    Head and body apart are two system calls, which cost as much as all the rest of a submit.  An
    answer before the end of a body does not close the connection, but tells `last`.
    """

    __slots__ = ("_cycle", "_last", "_send", "_start")

    def __init__(self, cycle: RequestResponseCycle, last: Callable[[], None]) -> None:
        self._cycle = cycle
        self._last = last
        self._send = cycle.send
        self._start: HTTPResponseStartEvent | None = None

    async def __call__(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            if message["type"] == "http.response.body" and self._whole(start, message):
                return
            await self._send(start)
        cycle = self._cycle
        ends = message["type"] == "http.response.body" and not message.get("more_body")
        if ends and cycle.more_body and not (cycle.keep_alive or cycle.disconnected):
            self._last()
            cycle.keep_alive = True  # its end is the connection's to say
        await self._send(message)

    def _whole(self, start: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bool:
        """Write the answer if that is simple; whether it was."""
        cycle = self._cycle
        if (
            message.get("more_body")
            or not cycle.keep_alive
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        body = message.get("body", b"")
        if len(body) > MOST_JOINED:
            return False
        headers = [*cycle.default_headers, *start.get("headers", ())]
        if (b"content-length", b"%d" % len(body)) not in headers:
            return False
        lines = [b"%b: %b\r\n" % header for header in headers]
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"".join([STATUS_LINE[start["status"]], *lines, b"\r\n", body]))
        cycle.message_event.set()
        cycle.on_response()
        return True
