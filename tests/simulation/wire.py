"""The ledger as one process has it: every call goes through the adversary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, KeysView, Mapping, Sequence, Set
from typing import Any, cast

from tests.simulation.adversary import Adversary
from tests.simulation.hints import Channel
from tests.simulation.process import Process
from unlost.api.calls.attempts.pulls import PullingLedger
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import NewEffect, Pull
from unlost.task import Micros

SECRET = bytes(range(32))


class _Wire:
    """Sends every method's calls, their arguments copied, as on any wire."""

    def __init__(self, adversary: Adversary, channel: Channel, process: Process) -> None:
        self._adversary = adversary
        self._process = process
        heard = channel.join(process)
        self.wait, self.begun = heard.wait, heard.begun
        self.transitions = channel.transitions
        self.moves_at_once = MemoryLedger.moves_at_once

    async def effect_secret(self) -> bytes:
        """Always the same, asked once in a process's life: nothing to be tried by the adversary."""
        return SECRET

    def declare_effects(self, new: Sequence[NewEffect]) -> asyncio.Future[Any]:
        """By name, so that the worker sees that this ledger records them."""
        return self._adversary.send(self._process, "declare_effects", (tuple(new),), {})

    def list_effects(self, cursor: str | None, limit: int) -> asyncio.Future[Any]:
        """Nobody asks here."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Callable[..., asyncio.Future[Any]]:
        if not hasattr(Ledger, name):
            raise AttributeError(name)

        def call(*args: Any, **options: Any) -> asyncio.Future[Any]:
            return self._send(name, *args, **options)

        setattr(self, name, call)
        return call

    def _send(self, name: str, *args: Any, **options: Any) -> asyncio.Future[Any]:
        copied = tuple(map(_copied, args))
        return self._adversary.send(self._process, name, copied, options)


class _PullingWire(_Wire):
    """With what a ledger does for workers that claim by the API."""

    def pull(self, wanted: Pull) -> asyncio.Future[Any]:
        return self._send("pull", wanted)

    def prolong(self, worker: str, owner: str, lease: Micros) -> asyncio.Future[Any]:
        return self._send("prolong", worker, owner, lease)

    def standing(self, tokens: Mapping[str, str]) -> asyncio.Future[Any]:
        return self._send("standing", tokens)

    def lone(self) -> asyncio.Future[Any]:
        return self._send("lone")

    def overtime(self) -> asyncio.Future[Any]:
        return self._send("overtime")


def _copied(value: Any) -> Any:
    """What the caller may change after the call is copied; sets get an order."""
    if isinstance(value, KeysView | list):
        return tuple(value)
    if isinstance(value, Set):
        return tuple(sorted(value))
    return dict(value) if isinstance(value, dict) else value


def wired(adversary: Adversary, channel: Channel, process: Process) -> Ledger:
    """A ledger for one process."""
    return cast(Ledger, _Wire(adversary, channel, process))


def wired_to_pull(adversary: Adversary, channel: Channel, process: Process) -> PullingLedger:
    """One from which workers can claim by the API."""
    return cast(PullingLedger, _PullingWire(adversary, channel, process))
