"""How many files and connections a process may have open."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

from unlost.telemetry.logs import Log

log = Log("unlost.supervisor.child")

OTHERS: Final = 200
"""Descriptors for all that is no connection of a client."""


def make_room(connections: int) -> int:
    """Raise the limit of open files so that there may be so many connections; how many there may
    be.  Where the system does not allow that many, the log says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # macOS has a lower bound than it tells
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    possible = max(1, soft - OTHERS)
    log.warning(
        "api.few_open_files",
        extra={"maxConnections": connections, "possible": possible, "openFiles": soft},
    )
    return possible
