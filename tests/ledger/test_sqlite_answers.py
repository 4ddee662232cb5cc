"""What the writer's thread hands to those who wait: each gets its answer, whatever others do."""

from __future__ import annotations

import asyncio
from typing import cast

from unlost.ledger.protocol import Awaiting
from unlost.ledger.sqlite.connection.joining import Answer, deliver


class Fails:
    """Waits, and fails at what it is told."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def cancelled(self) -> bool:
        return False

    def set_result(self, value: object) -> None:
        raise ZeroDivisionError


async def test_who_fails_at_its_answer_keeps_nobody_from_theirs() -> None:
    loop = asyncio.get_running_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _loop, context: faults.append(type(context["exception"])))
    first, second = loop.create_future(), loop.create_future()
    deliver([Answer(first, 1), Answer(cast("Awaiting", Fails()), 2), Answer(second, 3)])
    await asyncio.wait({first, second}, timeout=5)
    assert (first.result(), second.result()) == (1, 3)
    assert faults == [ZeroDivisionError]
