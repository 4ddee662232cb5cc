"""How a worker calls a service: the same call again, until it was answered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.simulation.process import Process
from tests.simulation.pulling.network import Network
from tests.simulation.stage import Stage

PATIENCE = 3.0
"""Seconds that an answer may take, beyond what the call lets it."""

PAUSE = 0.3
"""Seconds, at most, before a call is made again."""

AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class Refused(Exception):
    """A call was refused, as it ought never to be."""


class Calls:
    """The calls of one process."""

    def __init__(self, stage: Stage, network: Network, process: Process) -> None:
        self._network = network
        self._process = process
        self._draw = stage.random(f"{process.name} calls").random

    async def insist(self, path: str, body: Any, wait: float = 0.0) -> tuple[int, Any]:
        """The status and what came with it, 200 or 409.  Raises Refused."""
        text = json.dumps(body).encode()
        while True:
            exchange = self._network.send(self._process, path, text)
            try:
                async with asyncio.timeout(wait + PATIENCE):
                    answer = await exchange.future
            except TimeoutError:
                answer = None
            finally:
                self._network.hang_up(exchange)
            if answer is not None and answer.status not in AGAIN:
                break
            await asyncio.sleep(PAUSE * self._draw())
        if answer.status not in (200, 409):
            raise Refused(f"{path} {answer.status}: {answer.body!r}")
        return answer.status, json.loads(answer.body)
