"""The versions of PostgreSQL that are here: the wheel's, and what `make soak` unpacks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.postgres.server import Server

OLDER: Final = Path(sys.prefix, "postgresql-15")


class Older(Server):
    """One of version 15."""

    package = OLDER


SERVERS: Final = {"18": Server} | ({"15": Older} if Path(OLDER, "usr").is_dir() else {})
