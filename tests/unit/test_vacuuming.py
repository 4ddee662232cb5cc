"""When a process of the PostgreSQL home vacuums: after so many claims, for little of the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.unit.virtual import in_virtual_time
from unlost.ledger.postgres.upkeep.vacuuming import AFTER, Vacuum

if TYPE_CHECKING:
    from unlost.ledger.postgres.connection.pool import Pool


class Connections:
    """Lends what takes so many seconds for a vacuum, and notes when each began."""

    def __init__(self, seconds: float) -> None:
        self.began: list[float] = []
        self._seconds = seconds

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Connections]:
        yield self

    async def execute(self, *_: Any, **__: Any) -> None:
        self.began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._seconds)


@pytest.mark.parametrize(("takes", "apart"), [(0.01, 0.5), (0.1, 3.1), (1.0, 31.0)])
@in_virtual_time
async def test_a_vacuum_comes_after_so_many_claims_and_a_rest_of_thirty_times_its_length(
    takes: float, apart: float
) -> None:
    connections = Connections(takes)
    vacuum = Vacuum(cast("Pool", connections))
    while len(connections.began) < 4:  # ten thousand tasks a second
        vacuum.claimed(AFTER // 50)
        await asyncio.sleep(0.01)
    for one, following in pairwise(connections.began):
        assert following - one == pytest.approx(apart, abs=0.03)
    await vacuum.close()
