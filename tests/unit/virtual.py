"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from unlost.task import SECOND, Micros

EPOCH: Micros = 1_700_000_000 * SECOND

LONGEST = 60.0
"""Real seconds between two looks for what is done elsewhere."""


class NothingWillHappen(Exception):
    """Everything waits and no timer is set: in real time the test would hang."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs as fast as it can; `time` starts at 0 and moves only while everything waits."""

    def __init__(self) -> None:
        self._now = 0.0
        self._elsewhere = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def clock(self) -> Micros:
        """The ledger's time, in any thread."""
        return EPOCH + round(self._now * SECOND)

    def jump(self, seconds: float) -> None:
        self._now += seconds

    @contextmanager
    def still(self) -> Iterator[None]:
        """Time stands still meanwhile, for what is done in threads or by another process."""
        self._elsewhere += 1
        try:
            yield
        finally:
            self._elsewhere -= 1

    @property
    def is_still(self) -> bool:
        return self._elsewhere > 0


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.is_still:
            return super().select(LONGEST)
        if timeout is None:
            raise NothingWillHappen
        self._loop.jump(timeout)
        return []


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make an async test one that runs in virtual time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def clock() -> Micros:
    """The ledger's time in a test in virtual time."""
    return EPOCH + round(asyncio.get_running_loop().time() * SECOND)


def jump(seconds: float) -> None:
    """Let time pass while nothing runs, as when the machine sleeps."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.jump(seconds)
