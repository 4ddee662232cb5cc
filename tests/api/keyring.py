"""API keys, and what is called with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from tests.conformance.stage import Clock, Stage
from unlost.access.keys import Key, KeyScope, Secret, digest
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable

KEYS: dict[str, dict[str, Any]] = {
    "all": {"scopes": "submit,read,operate,metrics,work"},
    "shop": {"scopes": "submit"},
    "other": {"scopes": "submit"},
    "ops": {"scopes": "operate"},
    "runner": {"scopes": "submit,operate"},
    "mail": {"scopes": "submit,read,operate", "types": ("mail",)},
    "two": {"scopes": "submit,read,operate", "types": ("fax", "mail")},
}


Of = Callable[[str], httpx.AsyncClient]


def task(task_id: str, **options: object) -> dict[str, object]:
    return {"taskId": task_id, "payload": {"secret": task_id}, **options}


async def buried(stage: Stage, of: Of, task_id: str, task_type: str) -> None:
    answer = await of("all").post("/tasks", json=task(task_id, type=task_type))
    assert answer.status_code == 202
    stage.clock.advance(1)
    await stage.die(await stage.run(task_id))


class Keyring(MemoryLedger):
    """A ledger that counts how often its keys are read, and whose keys may be away."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.reads = 0
        self.away = False

    def add(self, text: str, *scopes: KeyScope) -> None:
        self._keys[text] = Key(text, frozenset(scopes), 0, (Secret(digest(text)),))

    def put(self, name: str, key: Key) -> None:
        self._keys[name] = key

    def key(self, name: str) -> Key:
        return self._keys[name]

    async def keys(self) -> list[Key]:
        self.reads += 1
        if self.away:
            raise LedgerUnavailable("the keys are away")
        return await super().keys()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
