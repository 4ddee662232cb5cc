"""Single durable submits over HTTP: the PostgreSQL home beside the SQLite home, in turns."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import msgspec

from bench.load import Result, drive, request
from bench.measures import CONNECTIONS, READY, bodies
from bench.service import running
from tests.ports import free_port
from tests.postgres.databases import Database
from tests.postgres.server import Server


class Homes(msgspec.Struct, frozen=True):
    """Results of the same requests, one a round."""

    postgres: list[Result]
    sqlite: list[Result]

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios."""
        pairs = zip(self.postgres, self.sqlite, strict=True)
        return median(ours.rate / theirs.rate for ours, theirs in pairs)

    def told(self) -> str:
        """In a line."""
        ours, theirs = (median(one.rate for one in each) for each in (self.postgres, self.sqlite))
        return f"single submits over HTTP: {ours:,.0f}/s on PostgreSQL, {theirs:,.0f}/s on SQLite"


async def single_submits(server: Server, folder: Path, many: int, rounds: int) -> Homes:
    """Send the same tasks to an API on each home; the first round warms up."""
    ports = free_port(), free_port()
    api = ("unlost", "api", "--port")
    homes = Homes([], [])
    async with (
        running(*api, str(ports[0]), "--ledger", Database(server).url, ready=READY),
        running(*api, str(ports[1]), "--ledger", f"sqlite:///{folder}/submits.db", ready=READY),
    ):
        for turn in range(-1, rounds):
            wires = [request("/tasks", body) for body in bodies(many, f"r{turn}")]
            for port, results in zip(ports, (homes.postgres, homes.sqlite), strict=True):
                result = await drive(port, wires, CONNECTIONS)
                if result.refused:
                    raise RuntimeError(f"{result.refused} answers were no 2xx")
                if turn >= 0:
                    results.append(result)
    return homes
