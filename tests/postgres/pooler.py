"""PgBouncer in front of a test's server: it lends connections by transaction, mostly."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.postgres.server import Server

PATIENCE = 10.0
SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin"
"""Where systems put the program, often outside the PATH of users."""

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = {mode}
default_pool_size = {size}
server_round_robin = {in_turn:d}
server_lifetime = 3600
query_wait_timeout = 10
"""


class Pooler:
    """A running pooler, from `with` on, that has `size` connections to each database.

    It lends them for a `mode`, those that were given back last, or all `in_turn`.
    """

    def __init__(
        self, server: Server, size: int = 3, *, mode: str = "transaction", in_turn: bool = False
    ) -> None:
        self._server = server
        self._how = {"mode": mode, "in_turn": in_turn}
        self.size = size
        self._folder = Path(tempfile.mkdtemp(prefix="unlost-pooler-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._output = self._folder / "output"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def url(self, database: str) -> str:
        return self._server.url(database).replace(f":{self._server.port}/", f":{self.port}/")

    def log(self) -> str:
        """What it has said so far."""
        return self._output.read_text()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _start(self) -> None:
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path=SYSTEM_FOLDERS)
        assert program, "these tests need PgBouncer (Debian, Ubuntu: apt-get install pgbouncer)"
        users, settings = self._folder / "users", self._folder / "settings.ini"
        users.write_text(f'"unlost" "{Server.password}"\n')
        settings.write_text(
            SETTINGS.format(
                server=self._server.port, port=self.port, users=users, size=self.size, **self._how
            )
        )
        user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        if user is not None:  # it refuses root
            for path in (self._folder, users, settings):
                os.chown(path, user, -1)
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [program, str(settings)], stdout=output, stderr=output, user=user
            )
        until = time.monotonic() + PATIENCE
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                raise AssertionError(f"no pooler: {self.log()[-2000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
        shutil.rmtree(self._folder, ignore_errors=True)
