"""How a connection ends: its client is told why, or cut off, or the service stops."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from unlost.api.http.connection.connections import BODY_WITHIN, FAST, FRESH, Connections
from unlost.api.http.connection.patience import HEAD_WITHIN, OVER, SLOWEST, Overdue, Patience
from unlost.api.problems import RETRY_AFTER, Problem, TooSlow, Unavailable

LINGER: Final = 2.0
"""Seconds in which a client that was refused may read why, and one that gives way to another what
it was answered."""

NOT_READING: Final = 2
"""Seconds after which a client that has read nothing of what it is sent gives way to others."""

GIVE_WAY_AFTER: Final = 15
"""Seconds after which a client that still reads the answer to a call whose body was no small one
gives way to others that wait for room, or a turn: until then it holds what its body takes."""

LAST_PATIENCE: Final = 0.5
"""Seconds that a client gets, once the service stops, to send the rest of a body, and then again to
read what it is answered: only a client can end these."""

NO_ROOM: Final = Unavailable("too many large bodies at once; try again", headers=RETRY_AFTER)
_GIVEN_UP: Final = Unavailable("too many connections, and this body is slow", headers=RETRY_AFTER)
_LEAVING: Final = Unavailable("the service stops; try again", headers=RETRY_AFTER)
_OVERDUE: Final = {
    Overdue.HEAD: TooSlow(f"a request's headers take at most {HEAD_WITHIN} seconds"),
    Overdue.BODY: TooSlow(f"a body brings at least {SLOWEST} bytes a second over {OVER} seconds"),
    Overdue.ROOM: NO_ROOM,
}


class Flow(FlowControl):
    """Reads no further while it is held up, or `ahead`: much is there that waits for its turn, or
    `drips`: it is read in turns.  Whatever the app asks for."""

    held_up = False
    ahead = False
    drips = False

    def resume_reading(self) -> None:
        if not (self.held_up or self.ahead or self.drips):
            super().resume_reading()

    @property
    def kept_waiting(self) -> bool:
        """Whether it is not read for longer than until its next turn."""
        return self.read_paused and (self.held_up or self.ahead or not self.drips)


class Ending(HttpToolsProtocol):
    """A connection that can be ended from this side, without a loss of what was answered.

    `_under_way` is the call that is carried out, `_refused` why no further one is read, `_draining`
    runs while the rest of a body is thrown away.  `_turn_awaited` and `_turn_came` are the ticks up
    to which it was read before its turn, or before there was room, and in which that came.
    """

    _under_way: RequestResponseCycle | None = None
    _refused: Problem | None = None
    _held = 0  # calls that wait for their answers to be read
    _held_for = 0  # seconds
    _draining: asyncio.TimerHandle | None = None
    flow: Flow
    _turn_awaited = 0
    _turn_came = -FRESH

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self._room = connections.room
        self._patience = Patience()

    def second(self) -> None:
        """A second has passed: nobody may be slow for long."""
        unread, flow = self.transport.get_write_buffer_size(), self.flow
        overdue = self._patience.second(unread, paused=flow.kept_waiting, no_room=flow.held_up)
        self._connections.reads(self, something=self._patience.unread_for < NOT_READING)
        self._held_for = self._held_for + 1 if self._held else 0
        if self._held_for >= GIVE_WAY_AFTER and self._connections.crowded:
            self.cut()
            return
        if overdue is None or (self._refused is not None and overdue is not Overdue.READING):
            return
        cycle: RequestResponseCycle | None = self.cycle
        amid_answer = cycle is not None and cycle.response_started
        if overdue is Overdue.READING or (overdue is Overdue.BODY and amid_answer):
            self.cut()
        elif not self.transport.is_closing():
            self._refuse(_OVERDUE[overdue])

    async def until_read(self) -> None:
        """Return once little is left of the answers on this connection."""
        self._held += 1
        try:
            if self.flow.write_paused:
                await self.flow.drain()
        finally:
            self._held -= 1

    def _refuse(self, problem: Problem) -> None:
        """Read no more, and say why in place of the app, after the calls that came whole before."""
        self._refused = problem
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or self._amid_body(cycle):
            self._tell(problem)

    def _amid_body(self, cycle: RequestResponseCycle) -> bool:
        """Whether it is the body of the call whose turn it is that is refused; the app then sees
        nobody there.  A call that still waits for its turn is dropped."""
        if not cycle.more_body or cycle.response_started:
            return False
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            self._room.give_back(cycle)
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        return True

    def _tell(self, problem: Problem) -> None:
        """Refuse.

        The connection stays half open for a moment, since closing it over what the client still
        sends would take the answer from it.
        """
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        answer = self._connections.refuse(problem)
        lines = [STATUS_LINE[answer.status_code]]
        for name, value in [*self.server_state.default_headers, *answer.raw_headers]:
            lines.append(b"%b: %b\r\n" % (name, value))
        self.transport.write(b"".join([*lines, b"connection: close\r\n\r\n", answer.body]))
        self.transport.write_eof()
        self._connections.idle(self)
        linger = LAST_PATIENCE if problem is _LEAVING else LINGER
        self.loop.call_later(linger, self.transport.close)

    def close_idle(self) -> None:
        """Close, since others come and nothing is under way here."""
        if self.transport.is_closing():
            self.cut()
        else:
            self._give_way()

    def slow(self, ticks: int) -> bool:
        """Whether the client has brought little of a body in so many ticks, and no other call is
        under way.  Where it is not read, that is not the client's doing; where it is read in turns,
        what it has sent since the last one has not been seen yet."""
        cycle: RequestResponseCycle = self.cycle
        if cycle is not self._under_way or cycle.response_started or self.flow.kept_waiting:
            return False
        now = self._connections.now
        if self.flow.drips or now < self._turn_came + FRESH:
            ticks -= now - self._turn_awaited
        return ticks >= BODY_WITHIN and self._patience.brought < FAST * ticks

    def give_up(self) -> None:
        """Refuse the call whose body has not come, and close, since others come."""
        self._refuse(_GIVEN_UP)
        self._give_way()

    def _give_way(self) -> None:
        """Close.  Nobody looks after this connection any more: where its client does not read, it
        would stay open for ever."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(LINGER, self.cut)

    def _forget_call(self) -> None:
        """Have the call that is carried out see that nobody is there, also where others were sent
        behind it: uvicorn tells only the last one, and no transport may be written to any more."""
        if self._under_way is not None:
            self._under_way.disconnected = True
            self._under_way.message_event.set()

    def cut(self) -> None:
        """Close at once, whatever has not been read."""
        self._forget_call()
        self.transport.abort()

    def shutdown(self) -> None:
        """The service stops: what is under way is answered, but no client is waited for."""
        if self._draining is None:
            super().shutdown()
        else:
            self.loop.call_later(LAST_PATIENCE, self.transport.close)
        self.loop.call_later(LAST_PATIENCE, self._ask_no_more)

    def _ask_no_more(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_started:
            self._refuse(_LEAVING)
        self._see_off(-1)

    def _see_off(self, unread: int) -> None:
        """Cut the connection once its client reads no more of what it is sent; `unread` bytes
        waited for it at the last look."""
        waiting = self.transport.get_write_buffer_size()
        if waiting and waiting == unread:
            self.cut()
        elif waiting or not self.transport.is_closing():
            self.loop.call_later(LAST_PATIENCE, self._see_off, waiting)
