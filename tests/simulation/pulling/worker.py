"""A worker that claims by the API, as the page for those who write one has it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from tests.simulation.handling import Handling
from tests.simulation.process import Process
from tests.simulation.pulling.calls import Calls
from tests.simulation.pulling.network import Network
from tests.simulation.pulling.running import Given, ended
from tests.simulation.scenario import HANDLER_LIMITS
from tests.simulation.stage import Stage
from unlost.handlers import AttemptOver

BEAT = 5.0
"""Seconds between two calls of `extend`."""

EARLY, POLL = 0.2, 0.5
"""A claim that gives nothing in less than the one waits up to the other, in seconds."""


class PullWorker:
    """One life of it; its name is its process's."""

    def __init__(self, stage: Stage, network: Network, process: Process) -> None:
        self._stage = stage
        self._process = process
        self._calls = Calls(stage, network, process)
        self._draw = stage.random(f"{process.name} worker").random
        pull = stage.scenario.pull
        assert pull is not None
        self._pull = pull
        self._handling = Handling(process, stage.script, stage.history, effects=False)
        self._claims = 0
        self._heard_at = 0.0  # when it last knew of its lease
        self._enlisted = asyncio.Event()  # by its first claim
        self._running: dict[Given, asyncio.Task[Any]] = {}
        self._unsettled: dict[Given, dict[str, Any]] = {}
        self._unsaid, self._said = asyncio.Event(), asyncio.Event()
        self._changed = asyncio.Event()  # something has ended, or it is told to stop
        self._stopping = False
        self._over = asyncio.Event()  # its lease is

    def __hash__(self) -> int:
        return hash(self._process.name)

    def stop(self) -> None:
        """Have it end in order."""
        self._stage.history.add(self._process.name, "told to end")
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Work until it is told to stop, or its lease is over: then it is to take a new name."""
        beats = asyncio.create_task(self._beat_on())
        settles = asyncio.create_task(self._settle_on())
        works = asyncio.create_task(self._work())
        over = asyncio.create_task(self._over.wait())
        await asyncio.wait({works, over, beats, settles}, return_when=asyncio.FIRST_COMPLETED)
        for one in (works, beats, settles, over):
            if one.done():
                one.result()
            one.cancel()
        for given in [*self._running]:
            self._drop(given)

    async def _work(self) -> None:
        await self._claim_on()
        grace = self._stage.scenario.settings.grace
        if self._running:
            await asyncio.wait({*self._running.values()}, timeout=grace)
        for given in [*self._running]:
            self._drop(given)
            self._unsettled[given] = {"token": given.token, "outcome": "released"}
        self._unsaid.set()
        while self._unsettled:
            self._said.clear()
            await self._said.wait()

    # Claims

    async def _claim_on(self) -> None:
        while not self._stopping:
            self._changed.clear()
            alone = any(given.alone for given in self._running)
            free = 0 if alone else self._pull.slots - len(self._running)
            if free <= 0:
                await self._changed.wait()
            else:
                await self._claim(free)

    async def _claim(self, free: int) -> None:
        if self._running and self._process.time() - self._heard_at > self._pull.lease:
            await self._beat()
        self._claims += 1
        began = self._process.time()
        asked = {
            "claim": f"{self._process.name}-claim-{self._claims:06d}",
            "worker": self._process.name,
            "types": [*HANDLER_LIMITS],
            "options": {
                name: {"maxRetries": own.max_retries, "timeoutSeconds": own.timeout}
                for name, own in HANDLER_LIMITS.items()
                if own.max_retries is not None
            },
            "limit": free,
            "leaseSeconds": self._pull.lease,
            "wait": self._pull.wait,
        }
        self._stage.history.add(self._process.name, "claims", self._claims)
        _, answer = await self._calls.insist("/attempts/claim", asked, self._pull.wait)
        self._heard_at = max(self._heard_at, began)
        self._enlisted.set()
        given = [Given(one, self._is_gone, self._record) for one in answer["attempts"]]
        told = tuple((one.id, one.number) for one in given)
        self._stage.history.add(self._process.name, "given", self._claims, told)
        if any(one.alone for one in given):  # it was given to one that holds nothing
            for one in [*self._running]:
                self._drop(one)
        for one in given:
            self._start(one)
        if not given and self._process.time() - began < EARLY:
            await asyncio.sleep(POLL * self._draw())

    # What runs

    def _start(self, given: Given) -> None:
        if self._stage.script.act(given.id, given.number)[0] == "block":
            self._stage.world.after(2 * self._pull.lease, self._process.crash)
        self._running[given] = asyncio.create_task(self._run(given))

    async def _run(self, given: Given) -> None:
        error, result = None, None
        try:
            async with asyncio.timeout(given.timeout):
                result = await self._handling.handle(cast(Any, given))
        except (AttemptOver, TimeoutError):  # whoever sweeps says of the latter that it is over
            self._forget(given)
            return
        except Exception as raised:  # noqa: BLE001  a handler's edge
            error = raised
        if given in self._running:
            self._forget(given)
            self._unsettled[given] = ended(given, error, result)
            self._unsaid.set()

    def _forget(self, given: Given) -> None:
        self._running.pop(given, None)
        self._changed.set()

    def _drop(self, given: Given) -> None:
        self._running[given].cancel()
        self._forget(given)

    async def _record(self, token: str, name: str, value: Any) -> bool:
        step = {"token": token, "name": name, "result": value}
        status, _ = await self._calls.insist("/attempts/steps", step)
        return status == 200

    # What keeps it alive, and what it says

    async def _beat_on(self) -> None:
        await self._enlisted.wait()
        while True:
            began = self._process.time()
            await self._beat()
            await asyncio.sleep(max(0.0, began + BEAT - self._process.time()))

    async def _is_gone(self, token: str) -> bool:
        return token in await self._extend([one for one in self._running if one.token == token])

    async def _beat(self) -> None:
        gone = await self._extend([*self._running])
        for one in [*self._running]:
            if one.token in gone:
                self._drop(one)

    async def _extend(self, asked: list[Given]) -> set[str]:
        """Extend the lease; the tokens of those that run no more."""
        began, at = self._process.time(), self._stage.world.clock()
        body = {"leaseSeconds": self._pull.lease, "tokens": [one.token for one in asked]}
        path = f"/workers/{self._process.name}/extend"
        status, answer = await self._calls.insist(path, body)
        if status == 409:
            self._over.set()
            return {one.token for one in asked}
        self._heard_at = max(self._heard_at, began)
        gone = {one["token"]: one["state"] for one in answer["gone"]}
        told = tuple((one.id, one.number, gone.get(one.token)) for one in asked)
        self._stage.history.add(self._process.name, "beat", at, told)
        return {*gone}

    async def _settle_on(self) -> None:
        while True:
            if not self._unsettled:
                self._unsaid.clear()
                await self._unsaid.wait()
            batch = [*self._unsettled.items()][: self._stage.scenario.batch]
            body = {"attempts": [end for _, end in batch]}
            _, answer = await self._calls.insist("/attempts/settle", body)
            for (given, end), said in zip(batch, answer["results"], strict=True):
                assert given.token == said["token"]
                del self._unsettled[given]
                told = (end["outcome"], said["status"], said.get("state"))
                self._stage.history.add(
                    self._process.name, "settled", given.id, given.number, *told
                )
            self._said.set()
