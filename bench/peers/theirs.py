"""The peers: programs beside this file, among the peers' own packages."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from bench.load import drive, request
from bench.measures import PAYLOAD, bodies
from bench.peers import packages
from bench.peers.processes import Running, output, running, with_ran
from bench.service import answers
from tests.ports import free_port

PROGRAMS: Final = Path(__file__).parent / "programs"
WORKERS: Final = 2
WARM: Final = 50


class Peer:
    """One of them; `serves`: its program can make the call in the route of a bare ASGI app."""

    def __init__(
        self, name: str, program: str, left: str, *, share: float = 1.0, serves: bool = False
    ) -> None:
        self.name = name
        self.left = left
        self.share = share
        self.serves = serves
        self.program = program

    def command(self, database: str, *arguments: str) -> list[str]:
        """Its program, told what to do."""
        path = PROGRAMS / self.program
        return [*packages.interpreter(self.program), str(path), database, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """In which it finds its packages."""
        return packages.environment(self.program)

    async def prepare(self, database: str) -> None:
        await output(self.command(database, "prepare"), self.environment)

    @contextlib.asynccontextmanager
    async def serving(self, database: str) -> AsyncIterator[Calls]:
        yield Calls(self, database)

    @contextlib.asynccontextmanager
    async def working(self, database: str, ran: Path) -> AsyncIterator[Running]:
        environment = with_ran(self.environment, ran)
        async with running(self.command(database, "work"), environment, WORKERS) as workers:
            yield workers


class Calls:
    """Calls to a peer: there is no process but the client's."""

    def __init__(self, peer: Peer, database: str) -> None:
        self.pids: list[int] = []
        self._peer = peer
        self._database = database

    async def single(self, count: int) -> float | None:
        return float(await self._ask("submit", str(count)))

    async def single_http(self, count: int) -> float | None:
        if not self._peer.serves:
            return None
        port = free_port()
        command = self._peer.command(self._database, "serve", str(port))
        async with running(command, self._peer.environment):
            await answers(port)
            wires = [request("/tasks", body) for body in bodies(count + WARM, "h")]
            await drive(port, wires[:WARM], 1)
            return (await drive(port, wires[WARM:], 1)).seconds

    async def bulk(self, count: int) -> float | None:
        return float(await self._ask("bulk", str(count)))

    async def bulk_http(self, count: int) -> float | None:
        return None

    async def pace(self, count: int, rate: int) -> None:
        await self._ask("pace", str(count), str(rate))

    async def _ask(self, *what: str) -> str:
        command = self._peer.command(self._database, *what, json.dumps(PAYLOAD))
        return await output(command, self._peer.environment)


AWA_GIVEN: Final = "SELECT count(*) FROM awa.ready_entries"
AWA_DONE: Final = "SELECT coalesce(sum(completed_count), 0) FROM awa.receipt_completion_batches"
"""Its view of all jobs takes minutes for some ten thousand."""

PEERS: Final = (
    Peer(f"PgQueuer {packages.PGQUEUER}", "pgqueuer_app.py", "pgqueuer", serves=True),
    Peer(
        f"graphile-worker {packages.GRAPHILE}",
        "graphile_worker.cjs",
        "graphile_worker._private_jobs",
    ),
    Peer(f"pg-boss {packages.PG_BOSS}", "pg_boss.cjs", "pgboss.job WHERE state < 'completed'"),
    Peer(
        f"awa {packages.AWA}",
        "awa_app.py",
        f"generate_series(1, ({AWA_GIVEN}) - ({AWA_DONE}))",
    ),
    Peer(
        f"Oban for Python {packages.OBAN}",
        "oban_app.py",
        "oban_jobs WHERE state IN ('available', 'executing', 'scheduled', 'retryable')",
        share=0.2,
    ),
    Peer(
        f"Procrastinate {packages.PROCRASTINATE}",
        "procrastinate_app.py",
        "procrastinate_jobs WHERE status IN ('todo', 'doing')",
        share=0.1,
    ),
)  # fmt: skip
