"""The first children of a supervisor are forked off before it has a thread, so that what they and
it have imported lies in memory once.

They wait for what each is to be.  Whoever is started later, in place of one that has ended, is a
new interpreter: a process with threads must not be forked, nor any on macOS, whose libraries may
have threads of their own.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from unlost.ledger.opening import import_home
from unlost.settings import Settings
from unlost.supervisor.brief import Exit, ServiceAt
from unlost.supervisor.child import __main__ as child
from unlost.supervisor.child.orphan import die_with_parent

MOST: Final = 16
"""Descriptors that a child is given, at most."""

ARGUMENTS: Final = 45
"""Where in `/proc/self/stat`, behind the name, it stands from where to where the command line lies
in memory."""


LONGEST_TITLE: Final = f"{child.__package__} worker"


class Forked:
    """A child that waits for what it is to be, and then is a process like any other."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = None
        self._told = told
        self._status: int | None = None

    def become(self, role: str, given: Sequence[tuple[int, int]]) -> None:
        """Have it be this role, with a pipe to its stdin, and with descriptors that are given, each
        with the number that it has there."""
        outlet, inlet = os.pipe()
        self.stdin = os.fdopen(inlet, "wb")
        given = [(outlet, 0), *given]
        words = " ".join([role, *(str(place) for _, place in given)])
        with contextlib.suppress(OSError):  # it has ended already; others will see
            socket.send_fds(self._told, [words.encode()], [fd for fd, _ in given])
        os.close(outlet)
        self.forget()

    def forget(self) -> None:
        """Tell it nothing more: if it still waits, it ends."""
        self._told.close()

    def wait(self) -> int:
        """Its exit status, once it has ended; negative for the signal that ended it."""
        _, status = os.waitpid(self.pid, 0)
        self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def fork(count: int, settings: Settings, service: ServiceAt | None) -> list[Forked]:
    """As many children that wait, or fewer where they cannot be had so.

    In each of them this does not return: it exits as what it was to be.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # by whoever started this process
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else nobody is told how a child ended
    if sys.platform != "linux" or not _shows_titles():
        return []
    _import(settings, service)
    if _threads() != 1:
        return []
    gc.collect()
    gc.freeze()  # what the collector looks at, it writes to
    found: list[Forked] = []
    for _ in range(count):
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:  # there is no room; who is started later says so
            ours.close()
            theirs.close()
            break
        if pid == 0:
            for one in (*found, Forked(0, ours)):
                one.forget()
            _wait(theirs)
        theirs.close()
        found.append(Forked(pid, ours))
    return found


def _shows_titles() -> bool:
    """Whether a child's title has room where lists of processes look for it."""
    try:
        return len(Path("/proc/self/cmdline").read_bytes()) >= len(LONGEST_TITLE) + 2
    except OSError:  # the system does not tell
        return False


def _threads() -> int:
    """How many threads this process has, whoever's; 0 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208
    except OSError:
        return 0


def _import(settings: Settings, service: ServiceAt | None) -> None:
    """What each of them will need."""
    with contextlib.suppress(ImportError):  # not on every platform
        import uvloop  # noqa: F401, PLC0415
    if service is None:
        import_home(settings.ledger)
    else:
        from unlost.pulling import puller  # noqa: F401, PLC0415  who has a ledger needs none


def _wait(told: socket.socket) -> None:
    """Be what the supervisor says, once it does; then exit."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgid(0, 0)  # Ctrl-C is the supervisor's to act on
    _close_all_but(told.fileno())
    words, fds, _, _ = socket.recv_fds(told, 4096, MOST)
    told.close()
    if not words:
        os._exit(Exit.ORPHANED)
    role, *places = words.decode().split()
    _put(fds, [int(place) for place in places])
    _forget_script()
    sys.modules["__main__"] = child  # which processes that a handler starts may look for
    sys.argv[:] = [child.__file__, role]
    _entitle(f"{child.__package__} {role}")
    child.main()


def _close_all_but(ours: int) -> None:
    """Close what the supervisor was started with, but for the standard streams."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2 and int(name) != ours:
            with contextlib.suppress(OSError):  # the one by which the folder was read
                os.close(int(name))


def _put(fds: list[int], places: list[int]) -> None:
    """Give each descriptor its number."""
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(places) + 1) for fd in fds]
    for fd in fds:
        os.close(fd)
    for fd, place in zip(aside, places, strict=True):
        os.dup2(fd, place, inheritable=place <= 2)
        os.close(fd)


def _forget_script() -> None:
    """Take the folder of the supervisor's script from the path of imports, as `python -P` does."""
    main = sys.modules["__main__"]
    if sys.flags.safe_path or main.__spec__ is not None:  # `__main__` has done so with -m
        return
    script = getattr(main, "__file__", None)
    folder = "" if script is None else os.path.dirname(os.path.realpath(script))  # noqa: PTH120
    if sys.path[:1] == [folder]:
        del sys.path[0]


def _entitle(title: str) -> None:
    """Have lists of processes show this, and nothing of the supervisor's command line."""
    numbers = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = [0, 0, *(int(number) for number in numbers[ARGUMENTS : ARGUMENTS + 2])][-2:]
    room = end - start
    if start == 0 or room < 2:  # the system does not tell, or there is none
        return
    text = title.encode()[: room - 2] + b"\0"
    # What does not end with a zero is shown up to the first one.
    ctypes.memmove(start, text.ljust(room, b"."), room)
