"""A child whose event loop hangs after its start, and that nobody else would find."""

from __future__ import annotations

import asyncio
from typing import Final

from unlost.supervisor.processes.process import Child
from unlost.supervisor.processes.starting import TO_SHOW
from unlost.telemetry.logs import Log

LOOK: Final = 1.0
"""Seconds between two looks."""

HUNG: Final = 30
"""Looks in a row that find no pulse (two a second are sent) before a child is ended.  They are
counted, since while this process is held up, as with the whole machine, no time says anything."""

log = Log("unlost.supervisor")


async def see_hanging(child: Child) -> None:
    """Return once a child has ended.  One that was ready and whose event loop does not run is told
    of, shows where it hangs, and is killed: then another one is started."""
    await child.started.wait()
    silent, last = 0, child.pulsed
    while not child.exited.done():
        await asyncio.wait({child.exited}, timeout=LOOK)
        silent = silent + 1 if child.pulsed == last else 0
        last = child.pulsed
        if silent == HUNG and not child.exited.done():
            told = {"role": child.role, "pid": child.pid, "seconds": round(HUNG * LOOK)}
            log.warning("process.hung", extra=told)
            child.show()
            await asyncio.sleep(TO_SHOW)
            child.kill()
