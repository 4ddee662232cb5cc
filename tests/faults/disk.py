"""A disk as a power cut finds it: what was synced is there, and of the rest anything may be.

Until a file is synced, each write to it may have reached the disk, whole, in part or not at all,
and in any order; so may a new size.  Names that were made or removed since the folder was synced
may be there or not.  A write changes no bytes beside its own ("powersafe overwrite", as SQLite
assumes of today's disks).  After SQLite's test6.c, and the paper "Can Applications Recover from
fsync Failures?" (Rebello et al., USENIX ATC 2020) for syncs that fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random

SECTOR = 512
"""Bytes that reach a disk together; they begin at multiples of this."""


@dataclass(frozen=True)
class Write:
    """Bytes written at a place in a file.  `turn` orders all that happens to a disk."""

    turn: int
    at: int
    data: bytes


@dataclass(frozen=True)
class Resize:
    """A file's new size."""

    turn: int
    size: int


@dataclass(frozen=True)
class Rename:
    """A name that was given to a file, or (`file` None) taken away."""

    turn: int
    name: str
    file: File | None


@dataclass(eq=False)
class File:
    """What of a file was synced, and what has happened to it since, in order."""

    synced: bytearray = field(default_factory=bytearray)
    since: list[Write | Resize] = field(default_factory=list)

    def sync(self) -> None:
        """All that has happened is on the disk."""
        for change in self.since:
            _land(self.synced, change)
        self.since.clear()

    def fail_sync(self) -> None:
        """What has happened since the last sync will never be on the disk, and no later sync
        will say so: the system has marked those pages as clean."""
        self.since.clear()


class Disk:
    """A folder's files.  `contents` are there, and synced."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.files = {name: File(bytearray(data)) for name, data in contents.items()}
        self._synced = dict(self.files)
        self._since: list[Rename] = []
        self._turns = count()

    def open(self, name: str) -> File:
        """The file of this name, made if there is none."""
        if name not in self.files:
            self._rename(name, File())
        return self.files[name]

    def remove(self, name: str) -> None:
        if name in self.files:
            self._rename(name, None)

    def _rename(self, name: str, file: File | None) -> None:
        self._since.append(Rename(next(self._turns), name, file))
        _rename(self.files, name, file)

    def write(self, file: File, at: int, data: bytes) -> None:
        file.since.append(Write(next(self._turns), at, data))

    def resize(self, file: File, size: int) -> None:
        file.since.append(Resize(next(self._turns), size))

    def sync_names(self) -> None:
        """The folder is on the disk as it is now."""
        self._synced = dict(self.files)
        self._since.clear()

    def synced(self) -> dict[str, bytes]:
        """What is found after a power cut in any case."""
        return {name: bytes(file.synced) for name, file in self._synced.items()}

    def survivors(self, chance: Random) -> dict[str, bytes]:
        """What is found after a power cut now, one way it may be."""
        fate = self._fates(chance)
        names = dict(self._synced)
        for rename in self._since:
            if fate(rename.turn) is not dropped:
                _rename(names, rename.name, rename.file)
        return {name: _content(file, fate, chance) for name, file in names.items()}

    def _fates(self, chance: Random) -> Callable[[int], Fate]:
        """What becomes of each change: all alike, all until some moment, or each its own."""
        last = next(self._turns)
        mood = chance.choice((_none, _all, _until, _each, _each))
        return mood(last, chance)


def _rename(names: dict[str, File], name: str, file: File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _content(file: File, fate: Callable[[int], Fate], chance: Random) -> bytes:
    content = bytearray(file.synced)
    for change in file.since:
        for part in fate(change.turn)(change, chance):
            _land(content, part)
    return bytes(content)


def _land(content: bytearray, change: Write | Resize) -> None:
    if isinstance(change, Resize):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    else:
        content.extend(bytes(max(0, change.at - len(content))))
        content[change.at : change.at + len(change.data)] = change.data


# What may become of a change that was not synced: what lands of it.

Change = Write | Resize
Fate = Callable[[Change, Random], Iterable[Change]]


def kept(change: Change, _: Random) -> Iterable[Change]:
    return (change,)


def dropped(_change: Change, _chance: Random) -> Iterable[Change]:
    return ()


def torn(change: Change, chance: Random) -> Iterable[Change]:
    """Some sectors."""
    if isinstance(change, Resize):
        return ()
    return [sector for sector in _sectors(change) if chance.random() < 0.5]


def cut_short(change: Change, chance: Random) -> Iterable[Change]:
    """The first bytes."""
    if isinstance(change, Resize):
        return ()
    return (Write(change.turn, change.at, change.data[: chance.randrange(len(change.data) + 1)]),)


def trashed(change: Change, chance: Random) -> Iterable[Change]:
    """All, but a sector of it is noise."""
    if isinstance(change, Resize):
        return (change,)
    sectors = _sectors(change)
    bad = chance.randrange(len(sectors))
    sector = sectors[bad]
    sectors[bad] = Write(sector.turn, sector.at, chance.randbytes(len(sector.data)))
    return sectors


def hollow(change: Change, _: Random) -> Iterable[Change]:
    """The file is as long as if it had been written."""
    if isinstance(change, Resize):
        return (change,)
    return (Write(change.turn, change.at + len(change.data), b""),)


def _sectors(write: Write) -> list[Write]:
    end = write.at + len(write.data)
    bounds = [write.at, *range((write.at // SECTOR + 1) * SECTOR, end, SECTOR), end]
    return [
        Write(write.turn, start, write.data[start - write.at : stop - write.at])
        for start, stop in pairwise(bounds)
    ]


ODD = (torn, cut_short, trashed, hollow)


def _none(_last: int, _chance: Random) -> Callable[[int], Fate]:
    return lambda _turn: dropped


def _all(_last: int, _chance: Random) -> Callable[[int], Fate]:
    return lambda _turn: kept


def _until(last: int, chance: Random) -> Callable[[int], Fate]:
    """In order up to one that is not whole."""
    bad, how = last - chance.randrange(min(last, 40) + 1), chance.choice(ODD)
    return lambda turn: kept if turn < bad else how if turn == bad else dropped


def _each(_last: int, chance: Random) -> Callable[[int], Fate]:
    """Each its own, in no order."""
    keep = chance.random()

    def fate(_turn: int) -> Fate:
        draw = chance.random()
        if draw < 0.1:
            return chance.choice(ODD)
        return kept if chance.random() < keep else dropped

    return fate
