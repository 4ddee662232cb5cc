"""The app in process on two ledgers, and on a real server for what only sockets show."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.api.keyring import KEYS, Keyring, Of
from tests.api.served import Served
from tests.conformance.stage import Clock, Stage
from tests.conftest import staged
from tests.webhooks.receiver import SECRET
from unlost.access.keys import Key, KeyScope, Secret, digest
from unlost.api.app import App, create_app
from unlost.api.http.connection.connections import MOST, Connections
from unlost.api.server import serve
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import Ledger
from unlost.settings import Settings
from unlost.task import Micros


@pytest.fixture(params=["memory", "sqlite"])
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Stage]:
    """Two ledgers show that the API takes any; that all are alike is for the conformance tests."""
    async with staged(request, tmp_path, clock) as stage:
        yield stage


@pytest.fixture
def app(stage: Stage, clock: Clock) -> App:
    return create_app(stage.ledger, Settings(), clock)


@pytest.fixture
async def api(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the app, no socket between."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


class Timeless(Connections):
    """Connections for which only tests let time pass."""

    def __init__(self, most: int = MOST, root_path: str = "") -> None:
        super().__init__(most, root_path=root_path)

    def second(self) -> None:
        for _ in range(10):
            self.tick()
        super().second()

    async def run(self) -> None:
        await asyncio.Event().wait()


class Counted(Timeless):
    """Connections that count who has waited for a turn."""

    turns = 0

    async def turn(self) -> None:
        self.turns += 1
        await super().turn()


@asynccontextmanager
async def serving(
    ledger: Ledger,
    settings: Settings | None = None,
    connections: Connections | None = None,
    clock: Callable[[], Micros] = wall_clock,
) -> AsyncIterator[Served]:
    """A real server on a free port, stopped when done with."""
    connections = connections or Timeless()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    ready, stop = asyncio.Event(), asyncio.Event()
    app = create_app(ledger, settings or Settings(), clock)
    running = asyncio.create_task(serve(app, listener, ready.set, stop, connections=connections))
    await asyncio.wait_for(ready.wait(), 10)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        yield Served(ledger, app, port, client, stop, running, connections)
    stop.set()
    await asyncio.wait_for(running, 10)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A real server over a ledger in memory, on this machine's clock."""
    async with serving(MemoryLedger(wall_clock)) as running:
        yield running


@pytest.fixture
async def of(stage: Stage, clock: Clock) -> AsyncIterator[Of]:
    """The API as each of these keys calls it."""
    for name, bounds in KEYS.items():
        scopes = frozenset(bounds["scopes"].split(","))
        key = Key(name, scopes, 0, (Secret(digest(name)),), bounds.get("types"))
        await stage.ledger.add_key(key)
    app = create_app(stage.ledger, Settings(auth="keys", webhook_secret=SECRET), clock)
    async with AsyncExitStack() as open_clients:
        clients = {
            name: await open_clients.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app),
                    base_url="http://unlost.test",
                    headers={"Authorization": f"Bearer {name}"},
                )
            )
            for name in KEYS
        }
        yield clients.__getitem__


@pytest.fixture
def keys(clock: Clock) -> Keyring:
    keys = Keyring(clock)
    for scope in KeyScope:
        keys.add(scope.value, scope)
    return keys


@pytest.fixture
def guarded(keys: Keyring, clock: Clock) -> App:
    return create_app(keys, Settings(auth="keys"), clock)


@pytest.fixture
async def client(guarded: App) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
