"""Hints between the processes that share a ledger file: "look now", "this has changed".

Each listener binds a Unix datagram socket in a folder that belongs to the ledger's file; who
has something to tell sends to all of them.  Nothing depends on a hint arriving.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import socket
import stat
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from time import time_ns

import msgspec

from unlost.ledger.racing import Race
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken, heard, joined, told

WAKE, TELL = "w", "t"
CLAIM = WAKE + "x"  # workers, whom a wake-up has claim; behind a plain "w" follow digits
FIRST = b" "  # behind a wake-up that comes first; its reader passes over it
LATER = 0.002  # seconds after which who lost the last race follows a wake-up
BEGIN = "b"  # whoever steps redrives
TELL_AT_ONCE = 200  # transitions in a datagram, which must stay below the socket's buffer
BACKLOG = 50_000  # transitions that wait to be told; beyond that they are dropped
LONGEST_PLACE = 50  # bytes; what follows it in a socket's path has about as many
COARSE = 100_000_000  # nanoseconds in which a folder may change again without a new time
SEND_WAIT = 0.5  # seconds a listener may take to make room


class Hints:
    """The hints of one ledger file, as one process sees them.

    `wake` and `publish` may be called from any thread and never wait; the rest belongs to the
    event loop.
    """

    def __init__(self, path: Path) -> None:
        self._folder = _folder(path)
        self._place = str(self._folder)
        self._known: tuple[int, list[str]] = (0, [])  # when the folder changed, and its sockets
        self._waker: _Listener | None = None
        self._teller: _Teller | None = None
        self._first = ""  # the socket that was woken first
        self.race = Race(LATER)
        self._stepper: _Listener | None = None
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        with contextlib.suppress(FileNotFoundError):  # the last one there has just left
            for listener in self._folder.iterdir():  # those whose process is gone go, too
                _send(self._sender, str(listener), b"")

    def look(self) -> None:
        """See who listens: them `watched` and `wake` are about, without looking again."""
        try:
            changed = os.stat(self._place).st_mtime_ns  # noqa: PTH116 - on the way of every commit
            if changed != self._known[0]:
                names = [path.name for path in self._folder.iterdir()]
                settled = time_ns() - changed > COARSE
                self._known = (changed if settled else 0, names)
        except OSError:  # somebody tidied up; a listener makes it again
            self._known = (0, [])

    def wake_first(self, types: Woken = None) -> None:
        """Tell one worker of what will be due once the lock is given back: on its way to a claim,
        which waits for that, it need not wait for the sync."""
        self._first = next((name for name in self._known[1] if name.startswith(CLAIM)), "")
        if self._first:
            _send(self._sender, f"{self._place}/{self._first}", told(types) + FIRST)

    def wake(self, types: Woken = None) -> None:
        """Tell all workers that something of these types may be due, but who was told first."""
        message, first = told(types), self._first
        self._first = ""
        for name in self._known[1]:
            if name[0] == WAKE and name != first:
                _send(self._sender, f"{self._place}/{name}", message)

    def begin(self) -> None:
        """Tell those who step redrives that one has begun."""
        for name in self._known[1]:
            if name[0] == BEGIN:
                _send(self._sender, f"{self._place}/{name}", b"")

    def watched(self) -> bool:
        """Whether anybody listens for transitions."""
        return any(name[0] == TELL for name in self._known[1])

    def publish(self, transitions: list[Transition]) -> None:
        """Tell all who watch what has changed, in order, as far as they keep up."""
        if self._teller is None:
            self._teller = _Teller(self._folder)
        self._teller.put(transitions)

    async def wait(self, seconds: float) -> Woken:
        """Return at a wake-up, one that came since the last wait included, or in `seconds`."""
        if self._waker is None:
            self._waker = _Listener(self._folder, CLAIM if self.race.claims else WAKE)
        await self._waker.wait(seconds)
        if messages := self._waker.drain():
            if later := self._hinted(messages):
                await asyncio.sleep(later)
                if more := self._waker.drain():
                    self._hinted(more)
                    messages += more
            return joined(map(heard, messages))
        if not self._waker.reachable():
            self._waker.close()
            self._waker = None
        return None

    def _hinted(self, messages: list[bytes]) -> float:
        first = any(message.endswith(FIRST) for message in messages)
        return self.race.hinted(joined(map(heard, messages)), first=first)

    async def begun(self, seconds: float) -> None:
        """Return when a redrive has begun, since the last wait for one, or in `seconds`."""
        if self._stepper is None:
            try:
                self._stepper = _Listener(self._folder, BEGIN)
            except OSError:  # no room for a socket: nobody is heard
                return await asyncio.sleep(seconds)
        await self._stepper.wait(seconds)
        if not self._stepper.drain() and not self._stepper.reachable():
            self._stepper.close()
            self._stepper = None
        return None

    @contextlib.asynccontextmanager
    async def transitions(self) -> AsyncIterator[AsyncIterator[list[Transition]]]:
        """What others tell from now on."""
        listener = _Listener(self._folder, TELL)
        try:
            yield _received(listener)
        finally:
            listener.close()

    def close(self) -> None:
        """Leave no socket behind."""
        if self._waker is not None:
            self._waker.close()
            self._waker = None
        if self._stepper is not None:
            self._stepper.close()
            self._stepper = None
        if self._teller is not None:
            self._teller.close()
        self._sender.close()
        with contextlib.suppress(OSError):  # others still listen there
            self._folder.rmdir()


async def _received(listener: _Listener) -> AsyncIterator[list[Transition]]:
    decoder = msgspec.msgpack.Decoder(list[Transition])
    while True:
        await listener.wait(3600.0)
        for message in filter(None, listener.drain()):
            yield decoder.decode(message)


class _Listener:
    """A socket in the folder, and a flag that says whether something has come."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._path = folder / f"{kind}{secrets.token_hex(6)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._bind()
        self._come = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._come.set)

    def _bind(self) -> None:
        while True:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # the last one there has just left
                self._socket.bind(str(self._path))
                self._path.chmod(0o600)  # a handler's module may have set any umask
                return

    async def wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._come.wait()

    def drain(self) -> list[bytes]:
        """Everything that has come."""
        self._come.clear()
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self._socket.recv(1 << 18))
        return messages

    def reachable(self) -> bool:
        """Whether others can still find this socket; folders for temporary files get tidied."""
        return self._path.exists()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.remove_reader(self._socket)
        self._socket.close()
        self._path.unlink(missing_ok=True)


class _Teller:
    """A thread that sends transitions, so that a slow listener holds up nobody else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: deque[Transition] = deque(maxlen=BACKLOG)
        self._work = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="unlost-teller", daemon=True)
        self._thread.start()

    def put(self, transitions: list[Transition]) -> None:
        with self._work:
            self._waiting.extend(transitions)
            self._work.notify()

    def close(self) -> None:
        with self._work:
            self._closing = True
            self._work.notify()
        self._thread.join(5 * SEND_WAIT)

    def _run(self) -> None:
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.settimeout(SEND_WAIT)
        with sender:
            while batch := self._next():
                message = msgspec.msgpack.encode(batch)
                for path in self._folder.glob(TELL + "*"):
                    _send(sender, str(path), message)

    def _next(self) -> list[Transition]:
        with self._work:
            while not self._waiting and not self._closing:
                self._work.wait()
            count = min(len(self._waiting), TELL_AT_ONCE)
            return [self._waiting.popleft() for _ in range(count)]


def _send(sender: socket.socket, path: str, message: bytes) -> None:
    try:
        sender.sendto(message, path)
    except (ConnectionRefusedError, FileNotFoundError):  # its process is gone
        with contextlib.suppress(OSError):
            Path(path).unlink()
    except OSError:  # no room: a hint may be lost
        pass


def _folder(path: Path) -> Path:
    """A folder for the sockets: short, since a socket's path may have 104 bytes; ours alone."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]
    temporary = tempfile.gettempdir()
    if len(os.fsencode(temporary)) > LONGEST_PLACE:
        temporary = "/tmp"  # noqa: S108 - the folder in it is made ours alone
    folder = Path(temporary) / f"unlost-{os.getuid()}-{name}"
    status = _made(folder)
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise OSError(f"{folder} belongs to somebody else")
    return folder


def _made(folder: Path) -> os.stat_result:
    while True:
        with contextlib.suppress(FileExistsError):  # `exist_ok` raises it where it goes meanwhile
            folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # the last one there has just left
            return folder.lstat()
