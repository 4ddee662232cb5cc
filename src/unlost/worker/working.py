"""What a worker does: it claims due tasks, has their handlers run, settles the attempts."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeVar

from unlost.worker.claiming import Claiming
from unlost.worker.ending import Ending, let_finish

T = TypeVar("T")


class Working(Claiming):
    """Runs attempts, at most `settings.concurrency` at once, in the event loop that made it.

    While a `batch` of those that ended is not settled it claims nothing, so that in the ledger at
    most `settings.concurrency` + `batch` of its attempts run, however long that does not answer.
    Somebody else extends its lease.  Timeouts run by the loop's time.
    A worker that runs `alone` takes only tasks whose last attempt was lost, one at a time, and
    stops when none is due.  What it does is counted by `recorder` and told to `tracing`.
    """

    async def run(
        self,
        ready: Callable[[], None] = lambda: None,
        stuck: Callable[[], None] = lambda: None,
        recording: Callable[[], None] = lambda: None,
    ) -> Ending:
        """Work until drained, stuck or without a lease.

        `ready` is called before the first claim, `stuck` as soon as a handler turns out not to
        end: there will be no further claims; `recording` where the grace period is over and
        records of steps get their patience beyond it.

        Every attempt that ended is settled when this returns.  Those that did not end still run
        in the ledger: whoever sees this process end settles them.
        """
        self._end.on_stuck = stuck
        self._end.on_recording = recording
        await self._enlist()
        await self._steps.learn_secret()
        ready()
        async with asyncio.TaskGroup() as group:
            steps = (self._settler.run, self._listen, self._look_for_dropped)
            claims = group.create_task(_lasting(self._claim_to_the_last))
            background = [group.create_task(_lasting(step)) for step in steps]
            await self._end.told.wait()  # not the claim, which may wait for the ledger
            await let_finish(self._runner, self._freed, self._end, self._settings.grace)
            if self._transactions is not None:
                await self._transactions.all_ended()
            await self._steps.declaring.all_recorded()
            await self._stopping.all_decided()
            ending = await claims
            await self._settler.all_settled()
            for step in background:
                step.cancel()
        self._threads.stop()
        return max(ending, self._end.why or ending)

    @abstractmethod
    async def _enlist(self) -> None:
        """Be known before the first claim."""

    def drain(self) -> None:
        """Claim no more; running attempts get the grace period, then they are released.

        So is what fails meanwhile, or did in the half second before with a sign of a signal.
        """
        self._stopping.tell()
        self._end.tell(Ending.DRAINED)


async def _lasting(step: Callable[[], Awaitable[T]]) -> T:
    """Carry out what lasts: a TaskGroup would not notice that it has ended by a CancelledError of
    something that it looked at.  Raises RuntimeError then."""
    try:
        return await step()
    except asyncio.CancelledError as error:
        myself = asyncio.current_task()
        if myself is None or myself.cancelling():
            raise
        raise RuntimeError("a part of the worker has ended before the worker") from error
