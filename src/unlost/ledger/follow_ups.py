"""Which settlements bring their follow-ups, and which end in a conflict.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from unlost.ledger.values import Settled, Settlement, Submitted, Verdict
from unlost.task import Submission


def wanted(settlements: Iterable[Settlement]) -> list[str]:
    """The ids of all follow-ups."""
    return [one.submission.task_id for end in settlements for one in end.submit]


def decided(settlements: Iterable[Settlement], known: Mapping[str, bytes]) -> list[Settlement]:
    """How these attempts end, one after the other, where `known` are the digests of those tasks
    that are there already: each as it asks, or by the conflict of its first follow-up that is in
    conflict."""
    there = dict(known)
    return [_decided(end, there) if end.submit else end for end in settlements]


def _decided(end: Settlement, there: dict[str, bytes]) -> Settlement:
    """The same of one, after which its follow-ups are `there`."""
    own: dict[str, bytes] = {}
    for one in end.submit:
        new = one.submission
        if there.get(new.task_id, own.setdefault(new.task_id, new.digest)) != new.digest:
            return one.conflict
    there |= own
    return end


def new(ends: Iterable[Settlement], known: Collection[str]) -> list[Submission]:
    """The follow-ups of these ends that are to be stored, each of another id."""
    found: dict[str, Submission] = {}
    for end in ends:
        for one in end.submit:
            if one.submission.task_id not in known:
                found.setdefault(one.submission.task_id, one.submission)
    return list(found.values())


def submitted(ends: Iterable[Settlement]) -> list[Submission]:
    """All that follows from attempts that have ended so, in order."""
    found: list[Submission] = []
    for end in ends:
        if end.submit:
            found += [one.submission for one in end.submit]
        if end.follow is not None:
            found.append(end.follow)
    return found


def brought(ends: Iterable[Settlement], accepted: Iterable[str]) -> list[int | None]:
    """How many tasks of each of these ends were new, of those that were accepted under these ids;
    None for none."""
    left, counts = set(accepted), list[int | None]()
    for end in ends:
        mine = left.intersection(one.submission.task_id for one in end.submit)
        left -= mine
        counts.append(len(mine) or None)
    return counts


def accepted(new: Iterable[Submission], answers: Iterable[Submitted]) -> list[str]:
    """The ids of those that were accepted, each with its answer."""
    both = zip(new, answers, strict=True)
    return [one.task_id for one, answer in both if answer.verdict is Verdict.ACCEPTED]


def answers(asked: Iterable[tuple[bool, Settlement]], ends: Iterable[Settlement]) -> list[Settled]:
    """What became of settlements, each with whether its attempt ran; those have ended so."""
    left = iter(ends)
    return [settled(end, next(left)) if running else Settled.REFUSED for running, end in asked]


def settled(asked: Settlement, end: Settlement) -> Settled:
    """What became of a settlement whose attempt has ended so."""
    if end is asked:
        return Settled.HELD
    return Settled.EXCUSED if end.excused else Settled.CONFLICT
