"""Threads for sync handlers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Threads:
    """Runs jobs in at most `limit` threads, which stay for the next ones.

    Daemon threads, unlike an executor's: a handler that never returns must not keep its process
    from ending.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._started = 0
        self._idle = threading.Semaphore(0)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job run; it must not raise.  Call this from one thread only."""
        self._jobs.put(job)
        if self._idle.acquire(blocking=False) or self._started == self._limit:
            return
        self._started += 1
        threading.Thread(target=self._work, name=f"handler-{self._started}", daemon=True).start()

    def stop(self) -> None:
        """End the threads as they become idle."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job
            self._idle.release()
