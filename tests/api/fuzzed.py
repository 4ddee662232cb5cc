"""A real server over a real ledger, in a thread of its own, for tests that are not async.

Hypothesis and schemathesis call from the test's thread; what they change is looked at through
`ask`, past the API.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings

from unlost.api.app import create_app
from unlost.api.server import serve
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Counts
from unlost.settings import Settings

T = TypeVar("T")


class Fuzzed:
    """The service under test."""

    def __init__(self, folder: Path) -> None:
        self._url = f"sqlite:///{folder}/ledger.db"
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ledger: Ledger
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        self.ledger = await open_ledger(self._url)
        try:
            app = create_app(self.ledger, Settings())
            await serve(app, self._listener, self._ready.set, self._stop)
        finally:
            await self.ledger.close()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Let it end in order, and see that it does."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(15)
        assert not self._thread.is_alive()
        self._loop.close()

    def ask(self, step: Coroutine[Any, Any, T]) -> T:
        """Run a step of the ledger where it lives."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(30)

    def counts(self) -> Counts:
        return self.ask(self.ledger.counts())

    def sums(self) -> Counter[str]:
        """How many tasks were accepted, and how many are in each state."""
        counts = self.counts()
        by_state = Counter({str(state): number for state, number in counts.states.items()})
        return by_state + Counter({"accepted": counts.accepted})


@contextmanager
def fuzzed(folder: Path) -> Iterator[Fuzzed]:
    """A running service with its ledger in `folder`; its sums and its audit hold at the end."""
    from unlost.audit import audit

    running = Fuzzed(folder)
    running.start()
    try:
        yield running
        found = running.ask(audit(running.ledger))
        assert (found.ok, found.violations) == (True, [])
    finally:
        running.stop()


def in_sequence(scenarios: int, steps: int) -> settings:
    """So many scenarios of so many calls each, the same in every run."""
    return settings(
        max_examples=scenarios,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
