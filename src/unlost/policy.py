"""What follows an attempt: another one, and when, or the end.  Pure: time never enters, and
random numbers are arguments."""

from __future__ import annotations

import hashlib
import re

import msgspec

from unlost.task import MAX_DELAY, SECOND, Event, Micros, Outcome, TaskError

MAX_WAIT = float(MAX_DELAY)
"""The longest wait that a handler may ask for, in seconds: as long as a submit may ask for."""

STOP_MARGIN = 0.5
"""Seconds that a failure may come before the stop which has caused it: where every process gets the
signal, a handler's program may be quicker to end than its worker is to hear of it."""

MESSAGE_LIMIT = 4 * 1024
TRACEBACK_LIMIT = 16 * 1024
CUT = "… [cut]"


class Backoff(msgspec.Struct, frozen=True):
    """Exponential backoff with equal jitter; `base` and `cap` in seconds.

    Equal jitter as in M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    base: float = 1.0
    cap: float = 900.0

    def wait(self, retry: int, draw: float) -> float:
        """Seconds before retry number `retry` (from 1), for `draw` uniform in [0, 1).

        Uniform in [d/2, d] with d = min(cap, base · 2^(retry−1)).
        """
        longest = min(self.cap, self.base * 2.0 ** min(retry - 1, 1023))
        return longest * (0.5 + 0.5 * draw)


class Limits(msgspec.Struct, frozen=True):
    """How often and how long a task may be tried: retries after the first attempt, and seconds
    an attempt.  None leaves it to whoever comes next (submit, else handler, else service)."""

    max_retries: int | None = None
    timeout: float | None = None

    def filled(self, other: Limits) -> Limits:
        """These limits, with what is missing taken from `other`."""
        return Limits(
            other.max_retries if self.max_retries is None else self.max_retries,
            other.timeout if self.timeout is None else self.timeout,
        )


class Next(msgspec.Struct, frozen=True):
    """What follows an attempt.  `wait` (for a retry) counts from the ledger's clock.

    `excused` says that it spends no retry.  `excusable` is the wait that follows where a breaker
    excuses it (see `breaker.excuses`), None where none may.
    """

    event: Event
    wait: Micros = 0
    excused: bool = False
    excusable: Micros | None = None


class Excuses(msgspec.Struct, frozen=True):
    """Of a task's failures since its submit or last redrive, `made` were excused and `most` may
    be; `asked` says that the handler asks it of this one."""

    asked: bool = False
    made: int = 0
    most: int = 0


NO_EXCUSES = Excuses()

_EXCUSABLE = frozenset({Outcome.FAILED, Outcome.TIMED_OUT})


def after_attempt(
    outcome: Outcome,
    spent: int,
    max_retries: int,
    backoff: Backoff,
    draw: float,
    *,
    at_least: float = 0.0,
    final: bool = False,
    excuses: Excuses = NO_EXCUSES,
) -> Next:
    """Decide what follows an attempt that ended in `outcome`.  A release may wait as well.

    `spent` counts the attempts since the submit or the last redrive that were not excused, this
    one included.  `at_least` (seconds) is the wait the handler asked for; `final` refuses further
    attempts.  A lost or timed-out attempt is decided like a failed one, but a lost one is never
    excused, since it may be the task that ends its workers, and a timed-out one by breakers alone.
    """
    if outcome is Outcome.SUCCEEDED:
        return Next(Event.SUCCEED)
    if outcome is Outcome.RELEASED:
        return Next(Event.RELEASE, round(min(at_least, MAX_WAIT) * SECOND))
    asked = min(at_least, MAX_WAIT)
    excusable = None
    if outcome in _EXCUSABLE and not final and excuses.made < excuses.most:
        excusable = round(max(backoff.wait(spent + excuses.made, draw), asked) * SECOND)
        if excuses.asked and outcome is Outcome.FAILED:
            return Next(Event.RETRY, excusable, excused=True)
    if final or spent > max_retries:
        return Next(Event.DIE, excusable=excusable)
    return Next(
        Event.RETRY, round(max(backoff.wait(spent, draw), asked) * SECOND), excusable=excusable
    )


def may_come_of_stop(outcome: Outcome, *, final: bool) -> bool:
    """Whether the stop of its process may be why an attempt ended so: any failure, but for one
    that the handler means to be the last or that leaves the work done (`final`)."""
    return outcome is Outcome.FAILED and not final


def released_at_stop(before: Outcome | None) -> bool:
    """Whether a failure while its process stops costs nothing, where the task's attempt before it
    ended so: once in a row, since a handler that always fails then would never come to an end."""
    return before is not Outcome.RELEASED


def error(type_name: str, message: str, traceback: str | None = None) -> TaskError:
    """An error as the ledger keeps it: bounded in size, with its fingerprint."""
    return TaskError(
        cut(type_name, 255),
        cut(message, MESSAGE_LIMIT),
        None if traceback is None else cut_middle(traceback, TRACEBACK_LIMIT),
        fingerprint(type_name, message, traceback),
    )


def cut(text: str, limit: int) -> str:
    """`text` within `limit` bytes of UTF-8, with a mark where it was cut."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode()
    return raw[: limit - len(CUT.encode())].decode("utf-8", "ignore") + CUT


def cut_middle(text: str, limit: int) -> str:
    """Like `cut`, but keeps both ends: a traceback's last lines say the most."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode()
    half = (limit - len(CUT.encode()) - 2) // 2
    start, end = raw[:half].decode("utf-8", "ignore"), raw[-half:].decode("utf-8", "ignore")
    return f"{start}\n{CUT}\n{end}"


_FRAME = re.compile(r'^\s*File "([^"]*)", line \d+, in (.+)$', re.MULTILINE)
_VARYING = re.compile(
    r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8}[0-9a-fA-F-]{8,}\b|'[^']*'|\"[^\"]*\"|\d+(?:\.\d+)*"
)


def fingerprint(type_name: str, message: str, traceback: str | None) -> str:
    """A name for errors that look alike: type, message without what varies, innermost frame.

    16 hexadecimal digits.  Numbers, long hexadecimal strings and quoted parts of the message
    are taken out; line numbers and folders of the frame do not count.
    """
    frames = _FRAME.findall(traceback or "")
    file, function = frames[-1] if frames else ("", "")
    innermost = f"{file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{function}"
    normal = _VARYING.sub("#", message[:MESSAGE_LIMIT])
    text = "\0".join((type_name, normal, innermost))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


WORKER_LOST = error("WorkerLost", "the worker died or was cut off while the attempt ran")


def timed_out(seconds: float) -> TaskError:
    """The error of an attempt that ran longer than its timeout."""
    return error("AttemptTimedOut", f"the attempt ran longer than {seconds:g} s")
