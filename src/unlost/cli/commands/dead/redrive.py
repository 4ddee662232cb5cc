"""Redriving dead letters: what was asked for, and the calls that do it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.client.answers import TaskSeen
from unlost.cli.client.completers import fingerprints
from unlost.cli.client.connection import NoService, Refused, Service, read, task_path
from unlost.cli.client.flags import by_flags
from unlost.cli.client.insisting import call_id, insist
from unlost.cli.client.redrives import Watch, goes_on, look
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.options import By, Reason, given, switch, whole, words
from unlost.cli.text import counted
from unlost.effects import MAX_FORGET, is_name
from unlost.jsontext import NotJson, parse

MOST_IDS = 1000
"""How many ids one call takes."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wish:
    """Which dead letters beside those named by id, and how."""

    group: Annotated[
        str | None,
        Parameter(metavar="FINGERPRINT", help="all of this group", completer=fingerprints),
    ] = None
    type_: Annotated[str | None, Parameter(name="--type", help="all of this handler")] = None
    all_: Annotated[bool, switch("--all", "all there are")] = False
    limit: Annotated[
        int | None, Parameter(converter=whole, help="how many at most, oldest death first")
    ] = None
    rate: Annotated[float | None, Parameter(help="how many are to start in a second")] = None
    payload: Annotated[
        str | None,
        Parameter(
            metavar="FILE",
            help="a new payload, for exactly one ID; - is standard input",
            allow_leading_hyphen=True,
        ),
    ] = None
    forget: Annotated[
        tuple[str, ...],
        Parameter(
            name="--forget",
            negative=(),
            show_default=False,
            metavar="STEP",
            help="a step that is made again, under another key; may be repeated",
        ),
    ] = ()
    forget_all: Annotated[
        bool, switch("--forget-all", "of one ID: all its steps are made again")
    ] = False
    keep_steps: Annotated[bool, switch("--keep-steps", "with --payload: no step is made again")] = (
        False
    )
    canary: Annotated[
        int,
        Parameter(
            name="--canary",
            count=True,
            show_default=False,
            help="one first (--canary=N: N), the rest only if it succeeds; stops if failures recur",
        ),
    ] = 0
    tolerate: Annotated[
        int,
        Parameter(converter=whole, help="with --canary: how many may die again before it stops"),
    ] = 0
    patience: Annotated[
        float,
        Parameter(help="with --canary: seconds until it gives up a canary that has not ended"),
    ] = 600.0
    by: By = None
    reason: Reason = None

    def is_narrowed(self) -> bool:
        """Whether more than ids was given to choose by."""
        return any(
            choice not in (None, False)
            for choice in (self.group, self.type_, self.all_, self.limit, self.rate)
        )

    @property
    def forgets(self) -> bool | list[str] | None:
        """What it says of steps, as the service wants it; None: nothing."""
        if self.forget_all:
            return True
        return list(self.forget) if self.forget or self.keep_steps else None

    def body(self, ids: Sequence[str], limit: int | None) -> dict[str, object]:
        """What is to be redriven and by whom, as the service wants it, as a call of its own."""
        chosen = given(
            fingerprint=self.group,
            type=self.type_,
            all=self.all_ or None,
            taskIds=list(ids) or None,
            limit=limit,
            ratePerSecond=self.rate,
        )
        return chosen | words(self.by, self.reason) | {"id": call_id()}


NOTHING = Wish()


def check(ids: tuple[str, ...], wish: Wish) -> None:
    """Raises WrongUsage where these words make no sense together."""
    if not (ids or wish.group or wish.type_ or wish.all_):
        raise WrongUsage("say what to redrive: an ID, --group, --type or --all")
    bounds.type_name(wish.type_)
    words(wish.by, wish.reason)
    if wish.payload is not None and not is_single(ids, wish):
        raise WrongUsage("--payload goes with exactly one ID, and with no other selector")
    if wish.limit is not None and wish.limit < 1:
        raise WrongUsage(f"--limit must be 1 or more, not {wish.limit}")
    _check_canary(ids, wish)
    _check_forget(ids, wish)
    if wish.rate is not None and not 0.001 <= wish.rate <= 1_000_000:
        raise WrongUsage(f"--rate must be 0.001 to 1000000, not {wish.rate:g}")


def _check_canary(ids: tuple[str, ...], wish: Wish) -> None:
    if wish.canary and wish.payload is not None:
        raise WrongUsage("--payload and --canary do not go together")
    if not wish.canary and (wish.tolerate or wish.patience != NOTHING.patience):
        raise WrongUsage("--tolerate and --patience go with --canary")
    if wish.canary and len(ids) > MOST_IDS:
        raise WrongUsage(f"--canary takes at most {MOST_IDS} IDs, not {len(ids)}")
    bounds.whole("--canary", wish.canary, 0, 1_000)
    bounds.whole("--tolerate", wish.tolerate, 0, 1_000_000)
    bounds.number("--patience", wish.patience, 0.001, 31_536_000)


def _check_forget(ids: tuple[str, ...], wish: Wish) -> None:
    if sum(map(bool, (wish.forget, wish.forget_all, wish.keep_steps))) > 1:
        raise WrongUsage("--forget, --forget-all and --keep-steps do not go together")
    if wish.keep_steps and wish.payload is None:
        raise WrongUsage("--keep-steps goes with --payload; steps are kept without it")
    if wish.forget_all and not is_single(ids, wish):
        raise WrongUsage("--forget-all goes with exactly one ID; name the steps with --forget")
    if wish.forget and not (is_single(ids, wish) or wish.canary):
        raise WrongUsage("--forget goes with exactly one ID, or with --canary")
    if len(wish.forget) > MAX_FORGET:
        raise WrongUsage(f"--forget takes at most {MAX_FORGET} names, not {len(wish.forget)}")
    for name in wish.forget:
        if not is_name(name):
            raise WrongUsage(f"--forget takes the name of a step, not {name!r}")


def is_single(ids: tuple[str, ...], wish: Wish) -> bool:
    """One task by its id alone, so that a refusal can say why."""
    return len(ids) == 1 and not wish.is_narrowed() and not wish.canary


def description(ids: tuple[str, ...], wish: Wish) -> str:
    """What is about to be redriven, for a question."""
    parts = [f"of group {wish.group}"] if wish.group else []
    parts += [f"of type {wish.type_}"] if wish.type_ else []
    parts += [f"at most {wish.limit}"] if wish.limit else []
    return ", ".join([counted(len(ids), "dead letter") if ids else "all dead letters", *parts])


def first(canary: int) -> str:
    """What goes first, and what follows, for a question."""
    return (
        "one first, the rest only if it succeeds"
        if canary == 1
        else (f"{canary} first, the rest only if one of them succeeds")
    )


class Redriven(msgspec.Struct):
    """The service's answer.  `more` says that a further call is needed: there is no `redrive` then
    that goes on by itself."""

    redriven: int
    more: bool
    redrive: str | None = None


def redrive_one(service: Service, task_id: str, wish: Wish) -> int:
    """Redrive the one dead letter that was named, and return 1; raises Refused if it is none."""
    body = words(wish.by, wish.reason) | {"id": call_id()}
    if wish.payload is not None:
        body["payload"] = _payload(wish.payload)
    if wish.forgets is not None:
        body["forget"] = wish.forgets
    path, text = task_path("/dead-letters", task_id, "/redrive"), msgspec.json.encode(body)
    with by_flags():
        read(insist(lambda: service.post(path, text, expected=(200, 202))), TaskSeen)
    return 1


def _payload(file: str) -> msgspec.Raw:
    """The payload's text, untouched.  Raises Failed where it is not strict JSON."""
    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        parse(text)
    except NotJson as error:
        name = "standard input" if file == "-" else file
        raise Failed(f"{name} is not a payload: {error}") from error
    return msgspec.Raw(text.strip())


def redrive_many(service: Service, ids: tuple[str, ...], wish: Wish) -> list[Redriven]:
    """Redrive what the selectors choose; what each call did.  Those that are not redriven by then
    the service redrives by itself, and they count against the limit too."""
    unique = tuple(dict.fromkeys(ids))
    done: list[Redriven] = []
    left = wish.limit
    for start in range(0, max(len(unique), 1), MOST_IDS):
        if left is not None and start:
            left = (wish.limit or 0) - selected(service, done)
        done += _calls(service, unique[start : start + MOST_IDS], wish, left)
    return done


def sum_of(done: Sequence[Redriven]) -> int:
    """How many were redriven by these calls."""
    return sum(one.redriven for one in done)


def selected(service: Service, done: Sequence[Redriven]) -> int:
    """How many these calls mean, those included that the service is still to redrive.  Raises
    Failed where it does not say."""
    return sum(_selected(service, one.redrive) if one.redrive else one.redriven for one in done)


def matches_none(service: Service, done: Sequence[Redriven]) -> bool:
    """Whether these calls are known to mean no dead letter."""
    try:
        return selected(service, done) == 0
    except Failed:  # who may redrive need not be allowed to look
        return False


def _selected(service: Service, redrive_id: str) -> int:
    try:
        redrive = Watch(service, look(service, redrive_id))
        redrive.until_counted()
    except (NoService, Refused) as trouble:
        raise Failed(f"{trouble}; {goes_on(redrive_id)}") from trouble
    seen = redrive.seen
    return seen.redriven if seen.selected is None else seen.selected


def _calls(
    service: Service, ids: Sequence[str], wish: Wish, left: int | None
) -> Iterator[Redriven]:
    """Call until no further call is needed, or as many are redriven as are `left` of the limit."""
    while left is None or left > 0:
        text = msgspec.json.encode(wish.body(ids, left))
        answer = _redriven(service, text)
        yield answer
        if not (answer.more and answer.redriven):
            return
        left = None if left is None else left - answer.redriven


def _redriven(service: Service, text: bytes) -> Redriven:
    path = "/dead-letters/redrive"
    return read(insist(lambda: service.post(path, text, expected=(200, 202))), Redriven)


def check_all(ids: tuple[str, ...], wish: Wish, count: Callable[[], int]) -> None:
    """Raises Failed if an id that was named was not a dead letter's; `count` tells how many were,
    and is asked only where that matters."""
    unique = len(set(ids))
    if not unique or wish.limit or wish.group or wish.type_:
        return
    if (found := count()) < unique:
        raise Failed(f"not dead letters: {unique - found} of {counted(unique, 'id')}")
