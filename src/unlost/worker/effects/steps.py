"""How a handler makes steps: each is looked up before its function runs, and recorded after it.

`Steps` is a worker's way to the ledger, `AttemptSteps` what one attempt makes of it.  An async
handler awaits; in a sync one's thread each call goes through the worker's event loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from random import Random
from threading import Lock
from typing import Any, Final, Protocol, TypeVar

from unlost import effects, jsontext
from unlost.effects import MAX_RESULT, MAX_RESULTS, MAX_STEPS, Effects, Recorded, Step
from unlost.handlers import AttemptOver, StepNotKept
from unlost.ledger.protocol import LedgerGone, LedgerUnavailable
from unlost.ledger.values import Claimed, NewStep, StepLook
from unlost.telemetry.logs import Log
from unlost.worker.effects.declaring import Declaring
from unlost.worker.unavailable import leave_alone

T = TypeVar("T")

RECORD_PATIENCE: Final = 5.0
"""Seconds that records have to reach the ledger once their attempt was told to end."""

_counting: Final = Lock()  # one for all: what is done under it takes no time

_TOO_MUCH: Final = (
    f"the steps of a task have at most {MAX_RESULTS} bytes together, and {MAX_STEPS} names"
)

log = Log("unlost.worker")


class StepLedger(Protocol):
    """What a worker needs of a ledger for the steps of attempts: see `protocol.Steps`."""

    async def effect_secret(self) -> bytes:
        """What effect keys come from, where an attempt has none of its own."""
        ...

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        """Whether this token is the running attempt's, and if so what stands under the name."""
        ...

    async def record_step(self, new: NewStep) -> Recorded:
        """Record a step, only while its token is the running attempt's."""
        ...


class Steps:
    """A worker's way to the steps in its ledger, asked until that answers.

    `in_transaction` says of a token whether its handler has a transaction open.
    """

    def __init__(
        self,
        ledger: StepLedger,
        random: Random,
        in_transaction: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.in_transaction = in_transaction
        self.loop = asyncio.get_running_loop()
        self.secret = b""
        self.declaring = Declaring(ledger, random)
        self._ledger = ledger
        self._random = random

    async def learn_secret(self) -> None:
        """Know what idempotency keys come from: no attempt may start before."""
        self.secret = await self._answer(self._ledger.effect_secret)

    async def look(self, claimed: Claimed, name: str) -> Step | None:
        """What stands under this name.  Raises AttemptOver."""

        async def ask() -> StepLook:
            return await self._ledger.look_step(claimed.task_id, claimed.token, name)

        found = await self._answer(ask)
        if not found.running:
            raise AttemptOver
        return found.step

    async def record(self, new: NewStep) -> Recorded:
        """Record a step.  Raises AttemptOver."""

        async def bring() -> Recorded:
            return await self._ledger.record_step(new)

        verdict = await self._answer(bring)
        if verdict is Recorded.NOT_RUNNING:
            raise AttemptOver
        return verdict

    async def _answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                return await ask()
            except LedgerGone:
                raise AttemptOver from None
            except LedgerUnavailable as error:
                tries += 1
                await leave_alone(tries, error, self._random, log)


class AttemptSteps:
    """The steps of one attempt, as its handler makes them."""

    __slots__ = (
        "_asked",
        "_claimed",
        "_is_async",
        "_names",
        "_over",
        "_records",
        "_steps",
        "_turn",
    )

    def __init__(self, steps: Steps, claimed: Claimed, is_async: bool) -> None:
        self._steps = steps
        self._claimed = claimed
        self._is_async = is_async
        self._over = False
        self._names: dict[str, object] = {}  # under way, or recorded by this attempt
        self._asked: set[concurrent.futures.Future[Any]] = set()  # by threads
        self._records: set[asyncio.Task[Recorded]] = set()
        self._turn = 0  # of the last effect that was declared

    @property
    def recording(self) -> bool:
        """Whether a record is on its way to the ledger."""
        return bool(self._records)

    @property
    def making(self) -> bool:
        """Whether a step is under way."""
        return any(type(how) is object for how in [*self._names.values()])

    def tell(self) -> None:
        """The attempt is to end: it makes no further step, and records have their patience."""
        self._over = True
        for call in [*self._asked]:
            call.cancel()
        for record in self._records:
            _give_up_later(record)

    def close(self) -> None:
        """The handler has ended; what it left behind makes no step."""
        self._over = True

    def effect(self, name: object) -> None:
        """Record that this has happened: in a sync handler before it goes on, unless the attempt
        was told to end."""
        with _counting:
            self._turn += 1
            turn = self._turn
        with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):
            answer = self._steps.declaring.declare(self._claimed, turn, name)
            if answer is None or self._is_async:
                return
            self._asked.add(answer)
            try:
                if not self._over:
                    answer.result()
            finally:
                self._asked.discard(answer)

    def idempotency_key(self, name: str) -> str:
        """By which others know this step.  Raises ValueError."""
        _check(name)
        claimed, own = self._claimed, self._claimed.effects or Effects()
        key = own.key or effects.effect_key(
            self._steps.secret, claimed.task_id, claimed.submitted_at
        )
        return effects.idempotency_key(key, own.forgotten.get(name, 0), name)

    def once(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Make a step: its value, or in an async handler what is to be awaited for it."""
        if self._is_async:
            return self._once(name, function, args, kwargs)
        return self._once_in_thread(name, function, args, kwargs)

    async def _once(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        if asyncio.get_running_loop() is not self._steps.loop:
            raise RuntimeError("task.once is awaited in the event loop that runs the handler")
        with self._making(name):
            known = await self._steps.look(self._claimed, name)
            if known is not None:
                return self._known(known)
            self._check_time()
            value = function(*args, **kwargs)
            if inspect.isawaitable(value):
                value = await value
            return await self._recorded(name, *self._text(name, value))

    def _once_in_thread(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"the function of step {name!r} is async, and its handler is not")
        with self._making(name):
            known = self._ask(self._steps.look(self._claimed, name))
            if known is not None:
                return self._known(known)
            self._check_time()
            value = function(*args, **kwargs)
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise TypeError(f"the function of step {name!r} is async, and its handler is not")
            return self._ask(self._recorded(name, *self._text(name, value)), outlasting=True)

    @contextlib.contextmanager
    def _making(self, name: str) -> Iterator[None]:
        """While a step is made nobody else of this attempt makes it, nor once it is recorded."""
        _check(name)
        self._check_time()
        if self._steps.in_transaction(self._claimed.token):
            raise RuntimeError("no step is made while the attempt has a transaction open")
        mine = object()
        if self._names.setdefault(name, mine) is not mine:
            raise ValueError(f"this attempt makes step {name!r} already, or has made it")
        try:
            yield
        finally:
            if self._names[name] is mine:
                del self._names[name]

    def _check_time(self) -> None:
        if self._over:
            raise AttemptOver

    def _known(self, step: Step) -> Any:
        """The value of a step that was recorded before: by another attempt, or by this one, where
        whoever made it no longer waited for that."""
        if step.attempt == self._claimed.number:
            self._names[step.name] = step
        return _value(step)

    def _text(self, name: str, value: object) -> tuple[str | None, str]:
        """What a step returned, as JSON; None where that cannot be kept, and why."""
        try:
            text = jsontext.encode(value)
        except (jsontext.NotEncodable, RecursionError) as error:
            return None, f"it is no JSON: {error}"
        except BaseException as error:  # noqa: BLE001  user code's edge: a class of the user's own
            claimed = self._claimed
            told = {"taskId": claimed.task_id, "type": claimed.type, "step": name}
            log.warning("step.unreadable", extra=told | {"error": type(error).__name__})
            return None, f"it cannot be read ({type(error).__name__})"
        size = len(text.encode())
        if size > MAX_RESULT:
            return None, f"it has {size} bytes, and {MAX_RESULT} is the most"
        return text, ""

    async def _recorded(self, name: str, text: str | None, unfit: str) -> Any:
        """The value of a step once it is recorded, which a cancellation waits for."""
        new = NewStep(self._claimed.task_id, self._claimed.token, name, text)
        record = self._steps.loop.create_task(self._steps.record(new))
        self._records.add(record)
        if self._over:
            _give_up_later(record)
        try:
            verdict = await _outlasting(record)
        finally:
            self._records.discard(record)
        self._names[name] = verdict
        if verdict is Recorded.ANOTHER:  # one of this attempt's, of which it did not hear
            known = await self._steps.look(self._claimed, name)
            return None if known is None else _value(known)
        if verdict is Recorded.NOT_KEPT:
            raise StepNotKept(name, unfit or _TOO_MUCH)
        return jsontext.decode(text or "null")

    def _ask(self, call: Coroutine[Any, Any, T], *, outlasting: bool = False) -> T:
        """What a call in the worker's event loop returns, in another thread."""
        if _loop_of_thread() is self._steps.loop:
            call.close()
            raise RuntimeError("a sync handler's task.once is called in the handler's thread")
        try:
            answer = asyncio.run_coroutine_threadsafe(call, self._steps.loop)
        except RuntimeError:  # the worker has ended
            call.close()
            raise AttemptOver from None
        if not outlasting:
            self._asked.add(answer)
        try:
            return answer.result()
        except (concurrent.futures.CancelledError, asyncio.CancelledError):
            raise AttemptOver from None
        finally:
            self._asked.discard(answer)


async def _outlasting(record: asyncio.Task[T]) -> T:
    """Wait for a record, also where the waiting is cancelled: only the end of its attempt ends a
    record, or its function would run again."""
    told: asyncio.CancelledError | None = None
    while not record.done():
        try:
            await asyncio.wait({record})
        except asyncio.CancelledError as error:
            told = error
    if told is not None:
        if not record.cancelled():
            record.exception()  # nobody waits for it
        raise told
    return record.result()


def _give_up_later(record: asyncio.Task[Any]) -> None:
    record.get_loop().call_later(RECORD_PATIENCE, record.cancel)


def _loop_of_thread() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _check(name: str) -> None:
    if not effects.is_name(name):
        raise ValueError(
            f"a step's name has 1 to {effects.MAX_NAME} of A-Z a-z 0-9 . _ - :, not {name!r}"
        )


def _value(step: Step) -> Any:
    """What a recorded step returned.  Raises StepNotKept."""
    if not step.kept:
        who = f"attempt {step.attempt}" if step.attempt else "an earlier attempt"
        raise StepNotKept(step.name, f"{who} found it to be no JSON, or too large")
    return jsontext.decode(step.result or "null")
