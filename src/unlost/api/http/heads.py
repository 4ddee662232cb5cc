"""What is known of heads that came before (see `again`), for endpoints: without a server, which the
functions on AWS have not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol

EXTENSION: Final = "unlost.again"
"""Where in a request's scope its endpoint finds an `Again`."""

MOST_KNOWN: Final = 2_000
"""Heads that are known, all at once forgotten beyond it."""


class Whole(NamedTuple):
    """An answer: its status, its headers as lines, and its body."""

    status: int
    headers: bytes
    body: bytes


Outcome = Whole | object
"""What was done: the answer, or anything that only the regular way can answer."""


class Client(Protocol):
    """Who sent the request, and waits."""

    def answer_at_once(self, answer: Whole, then: Callable[[], None]) -> bool:
        """Send the answer, from any thread, if nothing is in the way; whether it was sent.  Then
        `then` is called in the event loop, soon, which is to tell `done` the same."""

    def done(self, outcome: Outcome) -> None:
        """What was done; to be told in the event loop."""


Call = Callable[[bytes, Client], Coroutine[Any, Any, Outcome] | bool]
"""What carries out a request with this body.  False: not this one; True: the client hears of it."""


class Known(NamedTuple):
    """What is known of a head: who sent it, how long the body is, and what carries it out."""

    peer: str
    length: int
    call: Call


Heads = dict[bytes, Known]
"""By the heads' SHA-256: a head may hold a key, which is not to be kept."""


class Again:
    """What a request's endpoint can say and learn.

    `outcome` is what was done for this request already (None: nothing).
    """

    __slots__ = ("_head", "_heads", "_length", "_peer", "outcome")

    def __init__(
        self, heads: Heads, peer: str, head: bytes, length: int, outcome: Outcome | None
    ) -> None:
        self._heads = heads
        self._peer = peer
        self._head = head
        self._length = length
        self.outcome = outcome

    def remember(self, call: Call) -> None:
        """From now on, requests with this head from the same address are given to `call`: nothing
        but their bodies may make one different from the other."""
        if len(self._heads) >= MOST_KNOWN:
            self._heads.clear()
        self._heads[self._head] = Known(self._peer, self._length, call)
