"""Checks of the machine: its clock, its time zones, the disk below a ledger, the port."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from errno import EADDRINUSE
from pathlib import Path
from statistics import median

import msgspec

from unlost.cli.client.connection import Connection, Refused, Service, read
from unlost.cli.commands.doctor.finding import Finding, fail, note, ok
from unlost.cli.failures import Failed
from unlost.supervisor.child.open_files import OTHERS

LITTLE, TOO_LITTLE = 1024**3, 64 * 1024**2
"""Bytes free on a disk below which it is noted, and below which it is a failure."""

SLOW = 0.1
"""Seconds that a sync takes on a slow disk: each commit waits for one."""

SYNCS = 5

REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "ncpfs")
"""How the kinds of file systems begin that machines share: SQLite's locks are not safe there."""

PASSING = ("tmpfs", "ramfs")
"""Kinds of file systems that a restart of the machine empties."""

STEP = 0.05
"""Seconds for which two clocks are compared."""


def clock(
    wall: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Finding:
    """Whether time of day and monotonic time go on alike."""
    start, began = wall(), monotonic()
    sleep(STEP)
    by_wall, by_monotonic = wall() - start, monotonic() - began
    if by_monotonic <= 0:
        return fail("clock", "the monotonic clock stands still or goes back")
    if abs(by_wall - by_monotonic) > STEP / 2:
        off = by_wall - by_monotonic
        return note("clock", f"the time of day jumped by {off:+.3f} s while it was watched")
    return ok("clock", "the time of day goes on with the monotonic clock")


def zones() -> Finding:
    """By which time zones schedules go."""
    from unlost.schedule.zones import version

    return ok("time zones", f"schedules go by tzdata {version()}, not by the system's")


def disk(path: Path, mounts: str | None = None, min_free: float = 0) -> Iterator[Finding]:
    """The disk on which a ledger's file is, or would be; submits need `min_free` MiB on it."""
    folder = path.parent
    free = shutil.disk_usage(folder).free
    told = f"{_size(free)} free in {folder}"
    refused = free < min_free * 1024**2
    if refused:
        told += f": submits are refused below {min_free:g} MiB (--min-free)"
    grade = fail if refused or free < TOO_LITTLE else note if free < LITTLE else ok
    yield grade("disk space", told)
    yield _synced(folder)
    yield _kind(folder, _mounts() if mounts is None else mounts)


def open_files(connections: int, hard: int | None = None) -> Finding:
    """Whether the system lets a process have so many connections."""
    if hard is None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= connections + OTHERS:
        return ok("open files", f"enough for {connections} connections")
    return note(
        "open files",
        f"the hard limit of {hard} lets a service have {max(1, hard - OTHERS)} connections, not"
        f" {connections} (--max-connections): raise it (ulimit -Hn, systemd's LimitNOFILE=)",
    )


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= LITTLE else f"{count / 1024**2:.0f} MiB"


def _synced(folder: Path) -> Finding:
    """Whether what is written can be made durable, and how long that takes."""
    times = []
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".unlost-doctor-") as file:
            for _ in range(SYNCS):
                file.write(bytes(4096))
                file.flush()
                start = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - start)
    except OSError as error:
        return fail("disk sync", f"{folder} cannot be written and synced: {error.strerror}")
    told = f"a sync takes {median(times) * 1000:.2f} ms"
    if median(times) > SLOW:
        return note("disk sync", f"{told}: each commit waits for one")
    return ok("disk sync", told)


def _mounts() -> str:
    """What is mounted, where the system tells it in the way of Linux."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _kind(folder: Path, mounts: str) -> Finding:
    """The kind of the file system."""
    kind = kind_of(folder.resolve(), mounts)
    if kind is None:
        return note("file system", "this system does not tell its kind; it must be a local one")
    if kind.startswith(REMOTE):
        why = "SQLite's locks and its log are not safe on a file system that machines share"
        return fail("file system", f"{kind}: {why}")
    if kind in PASSING:
        return note("file system", f"{kind}: a restart of the machine empties it")
    return ok("file system", kind)


def kind_of(folder: Path, mounts: str) -> str | None:
    """The kind of the file system at `folder`, by the text of a mountinfo file."""
    found: dict[Path, str] = {}
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        if separator:
            place = before.split()[4].encode().decode("unicode_escape")
            found[Path(place)] = after.split()[0]
    inside = [place for place in found if folder.is_relative_to(place)]
    return found[max(inside, key=lambda place: len(place.parts))] if inside else None


class _Alive(msgspec.Struct):
    status: str


def port(host: str, number: int) -> Finding:
    """Whether a service could listen there, or one is there already."""
    if number == 0:
        return ok("port", f"a free one of {host} is taken")
    try:
        kind, *_, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        if error.errno == EADDRINUSE:
            return _taken(host, number)
        return fail("port", f"cannot listen on {host} port {number}: {error.strerror or error}")
    return ok("port", f"{host} port {number} is free")


def _taken(host: str, number: int) -> Finding:
    place = f"{host} port {number}"
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  it is compared
    url = f"http://{f'[{near}]' if ':' in near else near}:{number}"
    try:
        with Service(Connection(url=url)) as service:
            read(service.get("/livez", patience=2), _Alive)
            try:
                service.get("/readyz", patience=4)
            except Refused as refusal:
                return fail("port", f"the service on {place} is not ready: {refusal}")
    except Failed:
        advice = "end it, or take another with --port"
        return fail("port", f"{place} is taken by something else than unlost: {advice}")
    return note("port", f"a service is on {place} already, and is ready")
