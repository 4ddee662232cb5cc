"""Ports for servers that have to be told theirs before they take it."""

from __future__ import annotations

import contextlib
import secrets
import socket
from typing import Final

FIRST: Final = 10_240
LAST: Final = 32_767
"""Below those that systems give to connections on their way out, any of which may take one of
these between the look and the server's start."""


def free_port() -> int:
    """A port of this machine that nobody listens on, hardly given to another as well."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
