"""A submit that no coroutine awaits: what is told of it goes straight to its client.

A coroutine costs a turn of the event loop before its step and one after it, and the event loop's
thread has to be woken before anybody is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter

from unlost.api.http.heads import Client, Outcome, Whole
from unlost.ledger.values import Submitted, Verdict


class Promptly:
    """Awaits a submit (see `ledger.protocol.Awaiting`) and answers its `client`.

    `answer` makes the answer to a task that was accepted, in any thread; `ended` is called with
    what was done, and with when that was told (as by `perf_counter`), in the event loop.
    """

    __slots__ = ("_answer", "_client", "_ended", "_loop")

    def __init__(
        self,
        client: Client,
        answer: Callable[[Submitted], Whole],
        ended: Callable[[Outcome, float], None],
    ) -> None:
        self._client = client
        self._answer = answer
        self._ended = ended
        self._loop = asyncio.get_running_loop()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def cancelled(self) -> bool:
        return False

    def at_once(self, stored: list[Submitted]) -> bool:
        outcome = self._outcome(stored)
        if not isinstance(outcome, Whole):
            return False
        told = partial(self._tell, outcome, perf_counter())
        return self._client.answer_at_once(outcome, told)

    def set_result(self, stored: list[Submitted]) -> None:
        self._tell(self._outcome(stored), perf_counter())

    def set_exception(self, fault: BaseException) -> None:
        self._tell(fault, perf_counter())

    def _tell(self, outcome: Outcome, at: float) -> None:
        self._ended(outcome, at)
        self._client.done(outcome)

    def _outcome(self, stored: list[Submitted]) -> Outcome:
        """What was done; an error of ours is one as well, which the regular way tells."""
        [one] = stored
        if one.verdict is not Verdict.ACCEPTED:
            return one
        try:
            return self._answer(one)
        except Exception as error:  # noqa: BLE001 - others wait in the same thread
            return error
