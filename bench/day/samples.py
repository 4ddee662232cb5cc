"""What is seen of a home at one moment."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import msgspec
import psutil

from bench.day.home import Home, Sizes
from tests.soak.trees import Tree

ROLES = ("api", "worker")


class Process(msgspec.Struct, frozen=True):
    """A process.  Memory in bytes: `unique` to it, `pss` with its share of what is shared, `rss`
    with all of that; `age` and `cpu` in seconds."""

    pid: int
    age: float
    unique: int
    pss: int
    rss: int
    descriptors: int
    threads: int
    cpu: float


class Sample(msgspec.Struct, frozen=True):
    """A home at one moment, in seconds since the beginning.

    `processes` by tree and role, as `steady api`: of several the oldest.  `lag` is how long the
    oldest due task has waited.  `tables` were measured at this moment or
    some samples before.  `done` counts what was done to it, `harm` what was done to its
    processes.
    """

    at: float
    home: str
    processes: dict[str, Process]
    sizes: Sizes
    tables: dict[str, int]
    accepted: int
    states: dict[str, int]
    lag: float
    done: dict[str, int]
    harm: dict[str, int]


def processes(home: Home) -> dict[str, Process]:
    """All processes of a home's trees that run now."""
    return {
        name: seen
        for tree in home.trees
        for name, process in _members(tree)
        if (seen := _look(process)) is not None
    }


def _members(tree: Tree) -> Iterator[tuple[str, psutil.Process]]:
    if (supervisor := tree.supervisor()) is not None:
        yield f"{tree.name} supervisor", supervisor
    for role in ROLES:
        with contextlib.suppress(psutil.NoSuchProcess, ValueError):
            yield f"{tree.name} {role}", min(tree.children(role), key=psutil.Process.create_time)


def _look(process: psutil.Process) -> Process | None:
    """None where it ended meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
        memory, times = process.memory_full_info(), process.cpu_times()
        return Process(
            pid=process.pid,
            age=time.time() - process.create_time(),
            unique=memory.uss,
            pss=memory.pss,
            rss=memory.rss,
            descriptors=process.num_fds(),
            threads=process.num_threads(),
            cpu=times.user + times.system,
        )
    return None
