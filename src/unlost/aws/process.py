"""`process`: the function on the work queue, which runs the attempts.

Each message leads to a task, or to a redrive of which a step is made.  One at a time a task is
claimed by its id just before it runs, and settled; the ledger sends what follows (a message for the
retry, one for a death) as new messages.  So a message has served once what it names was looked at,
whatever came of it.  It goes back only where nothing could be decided: too little time is left, the
ledger does not answer, it is not ours.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from unlost.aws import environment, home, sandbox
from unlost.aws.attempting import Attempting, Fate, Seconds, Stuck
from unlost.aws.queues import messages
from unlost.aws.queues.queue import QueueUnavailable, Receipt, SqsQueue
from unlost.aws.redriving import Redriving
from unlost.aws.sandbox import Sandbox
from unlost.aws.serving import Serving
from unlost.aws.tracing import Function
from unlost.handlers import HandlerNotLoaded, Handlers
from unlost.handlers.chosen import chosen
from unlost.ledger.dynamodb.hints.telling import Hint, Onward
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings, WrongSetting
from unlost.telemetry.logs import Log
from unlost.webhooks.serving import serving
from unlost.worker.running.output import Printed

LEDGER_PAUSE: Final = 20.0
"""Seconds, about, after which messages come again that found no ledger."""

TO_STEP: Final = 10.0
"""Seconds of an invocation that must be left where a step of a redrive begins: one cut off is made
again, but what it has taken is hinted only by the sweep."""

STUCK_STATUS: Final = 3
"""The exit status of a process that a handler does not let end."""

log = Log("unlost.aws.process")

Record = Mapping[str, Any]


class Process:
    """Goes through the messages of one invocation after another."""

    def __init__(
        self,
        attempting: Attempting,
        redriving: Redriving,
        queue: SqsQueue,
        serving: Serving,
        random: Random,
    ) -> None:
        self._attempting = attempting
        self._redriving = redriving
        self._serving = serving
        self._queue = queue
        self._random = random

    async def batch(self, records: Sequence[Record], left: Seconds) -> list[str]:
        """The ids of the messages that have to come again.  Raises Stuck."""
        await self._serving.tell()
        back: dict[Fate, list[Receipt]] = {}
        for place, record in enumerate(records):
            try:
                fate = Fate.NO_LEDGER
                if fate not in back:  # else it would be asked for each message in vain
                    fate = await self._look_at(record, left)
            except Stuck:
                await self._pass_on(records[place + 1 :])
                raise
            except Exception:  # no record of one task may keep the others from being done
                log.exception("message.failed", extra={"messageId": record["messageId"]})
                fate = Fate.NOT_OURS
            if fate is not Fate.DONE:
                receipt = Receipt(record["messageId"], record["receiptHandle"])
                back.setdefault(fate, []).append(receipt)
        for fate, receipts in back.items():
            await self._give_back(receipts, fate)
        return [receipt.message_id for receipts in back.values() for receipt in receipts]

    async def _look_at(self, record: Record, left: Seconds) -> Fate:
        try:
            message = messages.read(record["body"])
        except messages.NotOurs as wrong:
            told = {"messageId": record["messageId"], "why": str(wrong)}
            log.error("message.unreadable", extra=told)  # noqa: TRY400  one clear line
            return Fate.NOT_OURS
        if message.redrive is not None:
            if self._attempting.stopping or left() < TO_STEP:
                return Fate.NO_TIME
            return await self._redriving.step(message.redrive, message.at)
        return await self._attempting.of(message.task_id, left)

    async def _give_back(self, receipts: Sequence[Receipt], why: Fate) -> None:
        """Have them come again soon; where that fails, they do at their visibility's end."""
        pause = LEDGER_PAUSE * (0.5 + self._random.random()) if why is Fate.NO_LEDGER else 0.0
        try:
            await self._queue.give_back(receipts, pause)
        except QueueUnavailable as error:
            log.warning("messages.held", extra={"messages": len(receipts), "why": str(error)})

    async def _pass_on(self, records: Sequence[Record]) -> None:
        """Have others look at the tasks of these messages: this process ends with them."""
        hints: list[Hint] = []
        onward: list[Onward] = []
        for record in records:
            with contextlib.suppress(messages.NotOurs):
                message = messages.read(record["body"])
                if message.redrive is None:
                    hints.append(Hint(message.task_id, 0))
                else:
                    onward.append(Onward(message.redrive, message.at))
        try:
            await self._queue.due(hints)
            await self._queue.onward(onward)
        except QueueUnavailable as error:
            log.warning("hints.lost", extra={"due": len(hints), "why": str(error)})


def handlers_of(settings: Settings, random: Random) -> Handlers:
    """The handlers that the settings say.  Raises HandlerNotLoaded."""
    return chosen(settings.handler, settings.failure_rate, settings.seed, random)


class Prints:
    """Makes records of what handlers print."""

    def __init__(self) -> None:
        self._before = sys.stdout, sys.stderr
        self._streams = [
            Printed(name, io.FileIO(stream.fileno(), "wb", closefd=False))
            for name, stream in zip(("stdout", "stderr"), self._before, strict=True)
        ]
        sys.stdout, sys.stderr = self._streams

    def flush(self) -> None:
        """Log unfinished lines."""
        for stream in self._streams:
            stream.log_rest()

    def end(self) -> None:
        """Have what is printed go where it went before."""
        self.flush()
        sys.stdout, sys.stderr = self._before


def make() -> Function:
    """The function, once in a sandbox."""
    box = sandbox.opened((environment.QUEUE, environment.DEAD_LETTERS))
    ledger, queue, _ = home.opened(box)  # before a module that may change anything
    prints, random = Prints(), Random()
    try:
        handlers = serving(handlers_of(box.environment.settings, random), box.environment.settings)
    except HandlerNotLoaded:
        prints.end()
        raise

    async def start() -> Attempting:
        return Attempting(
            ledger,
            queue,
            handlers,
            box.environment.settings,
            box.environment.longest_attempt,
            clock=wall_clock,
            random=random,
        )

    attempting = box.run(start())
    process = Process(attempting, Redriving(ledger), queue, Serving(ledger, handlers), random)

    def function(event: Any, context: Any) -> Any:
        box.invoked(context)
        attempting.limit(longest_of(sandbox.left(context)()))
        status = None
        try:
            with _stopped_by_sigterm(box, attempting):
                again = box.run(process.batch(event.get("Records", ()), sandbox.left(context)))
        except Stuck:
            again, status = [], STUCK_STATUS
        prints.flush()
        counts = {_metric(outcome): n for outcome, n in attempting.outcomes.items() if n}
        box.logs.measure(counts)
        attempting.outcomes.clear()
        if status is not None:
            os._exit(status)
        return {"batchItemFailures": [{"itemIdentifier": one} for one in again]}

    return box.traced(function)


def longest_of(seconds: float) -> float:
    """Seconds that an attempt may take in an invocation that has so many.  Raises WrongSetting."""
    if seconds < environment.SHORTEST_FUNCTION:
        shortest = f"{environment.SHORTEST_FUNCTION:g} s"
        raise WrongSetting(f"the function's timeout must be {shortest} or more")
    return seconds - environment.MARGIN


@contextlib.contextmanager
def _stopped_by_sigterm(box: Sandbox, attempting: Attempting) -> Iterator[None]:
    """While attempts run, SIGTERM releases them; between invocations it ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    box.loop.add_signal_handler(signal.SIGTERM, attempting.stop)
    try:
        yield
    finally:
        box.loop.remove_signal_handler(signal.SIGTERM)


def _metric(outcome: str) -> str:
    """attemptsSucceeded, attemptsTimedOut, attemptsExcused, …"""
    return "attempts" + "".join(word.capitalize() for word in outcome.split("_"))


handler = sandbox.entry(make)
