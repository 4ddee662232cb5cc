"""From a seed to all that a run is made of: settings, tasks, people's acts, faults and when.

Everything is drawn here or from generators seeded here, so that a seed is a run.  `Reduced` takes
away from a scenario and leaves the rest as it was, which is how failures are made small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

import msgspec

from tests.simulation.pulling.plan import Pull
from unlost.chance import fraction
from unlost.effects import Forget
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.task import SECOND, Submission

KINDS = (
    "refused", "unknown", "late", "repeated", "slow", "crash", "pause",
    "hints", "skew", "writes", "start", "deploy", "act", "replay",
)  # fmt: skip
"""What can be switched off, for each fault kind and what people do."""

PER_CALL = ("refused", "unknown", "late", "repeated", "slow", "crash", "pause")
"""Faults that strike calls of the ledger."""

HANDLER_LIMITS = {"default": Limits(), "mail": Limits(max_retries=1, timeout=0.8)}
"""The task types that there are, with their handlers' own limits."""

KEYS = (None, "ann", "ann", "ann", "bob")
"""Of tasks, for limits by key."""

OUTCOMES = (
    "succeed", "fail", "retry", "reject", "slow", "hang", "stubborn", "block", "abort", "program",
    "excuse",
)  # fmt: skip
"""What handlers do.  `slow` may be too long for the timeout, `hang` ends only when cancelled,
`stubborn` not even then, `block` holds up its process for ever, and `abort` ends it.  `program`
waits for one that gets the signals that its process gets, and fails once that has ended it.
`excuse` fails, and asks that it spend no retry."""


class Planned(msgspec.Struct, frozen=True):
    """A submission, and when which client makes it."""

    at: float
    client: int
    submission: Submission


class Act(msgspec.Struct, frozen=True):
    """What a person does, and when."""

    at: float
    what: str
    task_id: str
    share: float  # decides the details


class Rule(msgspec.Struct, frozen=True):
    """What is set for a type, and when; `number` is how much of it."""

    at: float
    what: str
    type: str
    number: int


class Strike(msgspec.Struct, frozen=True):
    """A crash or a pause of whoever `share` points at, or a deploy; `seconds` it lasts."""

    at: float
    kind: str
    share: float
    seconds: float


class Reduced(msgspec.Struct, frozen=True):
    """What is taken away from a scenario: kinds of faults, outcomes of handlers, tasks."""

    without: tuple[str, ...] = ()
    only: str | None = None  # the one task that is left
    hosts: int | None = None
    shuffle: int = 0  # another order of steps and faults for the same scenario

    def flags(self) -> str:
        """The options of the command line that mean this."""
        words = [f"--without {kind}" for kind in self.without]
        words += [f"--only {self.only}"] if self.only is not None else []
        words += [f"--hosts {self.hosts}"] if self.hosts is not None else []
        words += [f"--shuffle {self.shuffle}"] if self.shuffle else []
        return " ".join(words)


class Scenario(msgspec.Struct, frozen=True):
    """One run, planned.  Faults run until `window`; all times in seconds."""

    seed: int
    shuffle: int
    settings: Settings
    hosts: int
    together: bool  # sweeper and monitor run in the supervisor's process, as they ship
    submissions: tuple[Planned, ...]
    acts: tuple[Act, ...]
    strikes: tuple[Strike, ...]
    rates: dict[str, float]
    outcomes: tuple[str, ...]  # what handlers do, each as likely
    window: float
    batch: int  # settlements in one call of a worker
    rules: tuple[Rule, ...] = ()  # they hold until `window`, at most
    asks: tuple[float, ...] = ()  # when it is asked why tasks wait
    follows: bool = False  # whether handlers submit tasks
    steps: bool = False  # whether handlers make steps, and redrives forget some
    pull: Pull | None = None  # workers that claim by the API

    def rate(self, kind: str) -> float:
        return self.rates.get(kind, 0.0)

    def stream(self, name: str) -> Random:
        """A generator of its own, so that one kind of chance does not change the others."""
        return Random(f"{self.seed} {self.shuffle} {name}")

    @property
    def last_fault(self) -> float:
        """Seconds after which every call is carried as it should be."""
        if not any(self.rate(kind) for kind in PER_CALL):
            return 0.0
        late = 2.3 * self.settings.lease if self.rate("slow") else 0.1
        return self.window + late

    @property
    def bound(self) -> float:
        """Seconds after the faults within which everything must settle.

        A few attempts of a task may follow each other, each hung until it is killed; leases have
        to end, and those of reports are 30 s; clocks may be seconds apart.
        """
        lease = max(self.settings.lease, self.pull.lease if self.pull else 0.0)
        return 120 + 6 * lease + 8 * (self.settings.attempt_timeout + 2)


def draw(seed: int, reduced: Reduced = Reduced()) -> Scenario:  # noqa: B008  an immutable value
    """The scenario of a seed."""
    random = Random(seed)
    window = 1.0 + 7.0 * random.random()
    rates = _rates(random)
    settings = _settings(random)
    starts = Random(f"{seed} start")
    if starts.random() < 0.2:
        rates["start"] = 0.5 * starts.random()
        settings = replace(settings, start_timeout=1.0 + 9.0 * starts.random())
    hosts = 1 if random.random() < 0.75 else 2
    together = random.random() < 0.5
    outcomes = _outcomes(random, patient=settings.attempt_timeout > 3.0)
    outcomes += ("program",) * (Random(f"{seed} program").random() < 0.3)
    excuses = Random(f"{seed} excuses")
    outcomes += ("excuse",) * int(3 * excuses.random())
    settings = replace(settings, max_excused=int(4 * excuses.random()))
    submissions = _submissions(random, window)
    ids = sorted({planned.submission.task_id for planned in submissions})
    acts = _acts(random, window, ids)
    strikes = _strikes(random, window, settings.lease)
    whole = Scenario(
        seed, reduced.shuffle, settings, hosts, together, submissions, acts, strikes, rates,
        outcomes, window, 1 + Random(f"{seed} batch").randrange(3),
        *_rules(Random(f"{seed} limits"), window),
        Random(f"{seed} follows").random() < 0.3,
        Random(f"{seed} steps").random() < 0.4,
    )  # fmt: skip
    return _less(whole, reduced)


Draw = Callable[[int, Reduced], Scenario]
"""From a seed, and what is taken away, to a scenario."""

RULES = (
    "pause", "resume", "limit", "limit", "keyLimit", "keyLimit", "keyLimit", "breaker", "rate",
    "keyRate",
)  # fmt: skip


def _rules(random: Random, window: float) -> tuple[tuple[Rule, ...], tuple[float, ...]]:
    """What is set for types, in some runs, and when it is asked why tasks wait."""
    rules, types = [], tuple(HANDLER_LIMITS)
    if random.random() < 0.3:
        for _ in range(1 + int(5 * random.random())):
            what = RULES[int(len(RULES) * random.random())]
            name = types[int(1.3 * random.random())]
            rules.append(
                Rule(window * _low(random) ** 2, what, name, 1 + int(1.5 * random.random()))
            )
    asks = 4 + int(16 * random.random()) if rules else int(4 * random.random())
    when = sorted(1.2 * window * _low(random) for _ in range(asks))
    return tuple(sorted(rules, key=lambda rule: rule.at)), tuple(when)


def _low(random: Random) -> float:
    """A number in [0, 1), more often a low one."""
    chance = random.random()
    return chance * chance


def _rates(random: Random) -> dict[str, float]:
    """No faults, one kind that strikes often, or some kinds that do not."""
    kinds = (*PER_CALL, "hints", "skew", "writes")
    chance = random.random()
    if chance < 0.08:
        return {}
    if chance < 0.35:
        rates = {kinds[int(len(kinds) * random.random())]: 0.1 + 0.4 * random.random()}
    else:
        wild = 0.1 + 0.3 * _low(random)
        rates = {kind: wild * random.random() for kind in kinds if random.random() < 0.5}
    for kind in ("crash", "pause"):
        if kind in rates:
            rates[kind] *= 0.25
    for kind in ("hints", "skew", "writes"):
        if kind in rates:
            rates[kind] = random.random()
    return rates


def _settings(random: Random) -> Settings:
    base = (0.05, 0.2, 0.5)[int(3 * random.random())]
    return Settings(
        workers=1 if random.random() < 0.6 else 2,
        concurrency=1 + int(3 * random.random()),
        max_retries=int(4 * random.random()),
        backoff_base=base,
        backoff_cap=base * (1 + 7 * random.random()),
        attempt_timeout=0.3 + (25.0 if random.random() < 0.12 else 1.5) * random.random(),
        lease=2.0 + 3.0 * random.random(),
        grace=3.0 * random.random(),
        retain=0.5 * random.random() if random.random() < 0.3 else None,
        seed=7 if random.random() < 0.3 else None,
    )


def _outcomes(random: Random, *, patient: bool) -> tuple[str, ...]:
    """A hand of outcomes; success is always among them."""
    hand = [name for name in OUTCOMES[4:9] if random.random() < 0.2]
    hand += ["hang"] if patient else []
    common = [name for name in ("fail", "retry", "reject") if random.random() < 0.6]
    return ("succeed",) * (1 + int(3 * random.random())) + tuple(common) + tuple(hand)


def _submissions(random: Random, window: float) -> tuple[Planned, ...]:
    """A few tasks, some of them submitted again as they were, some with another payload."""
    found: list[Planned] = []
    for index in range(1 + int(5 * random.random())):
        task = _submission(random, f"t{index + 1}")
        at = window * _low(random)
        found.append(Planned(at, index % 2, task))
        while random.random() < 0.35:
            again = task if random.random() < 0.6 else _other(task)
            at = max(0.0, at + window * (random.random() - 0.3))
            found.append(Planned(at, int(2 * random.random()), again))
    return tuple(sorted(found, key=lambda planned: planned.at))


def _submission(random: Random, task_id: str) -> Submission:
    options: dict[str, Any] = {"type": "default" if random.random() < 0.7 else "mail"}
    if random.random() < 0.15:
        options["delay"] = round(2 * random.random() * SECOND)
    if random.random() < 0.25:
        options["max_retries"] = int(4 * random.random())
    if random.random() < 0.15:
        options["timeout"] = 0.2 + random.random()
    if random.random() < 0.2:
        options["priority"] = int(20 * random.random()) - 10
    options["key"] = KEYS[int(fraction(0, "key", task_id) * len(KEYS))]
    return submission(task_id, f'{{"of":"{task_id}"}}', options)


def submission(task_id: str, payload: str, options: dict[str, Any]) -> Submission:
    digest = sha256(repr((payload, sorted(options.items()))).encode()).digest()
    return Submission(task_id, payload, digest, **options)


def _other(task: Submission) -> Submission:
    """The same task id with another payload."""
    return submission(task.task_id, '{"of":"another"}', {"type": task.type})


ACTS = (
    "cancel", "cancel", "cancel", "redrive", "redrive", "edit", "redrive", "discard",
    "discard", "purge", "audit",
)  # fmt: skip


def _acts(random: Random, window: float, ids: list[str]) -> tuple[Act, ...]:
    found = []
    for _ in range(int(11 * _low(random))):
        what = ACTS[int(len(ACTS) * random.random())]
        task_id = ids[int(len(ids) * random.random())]
        found.append(Act(1.2 * window * random.random(), what, task_id, random.random()))
    return tuple(sorted(found, key=lambda act: act.at))


def _strikes(random: Random, window: float, lease: float) -> tuple[Strike, ...]:
    found = []
    if random.random() < 0.6:
        for _ in range(1 + int(3 * random.random())):
            kind = ("crash", "pause", "deploy")[int(3 * random.random())]
            seconds = 3 * lease * _low(random)
            if random.random() < 0.03:
                seconds += 30.0  # longer than a report's lease
            found.append(Strike(window * random.random(), kind, random.random(), seconds))
    return tuple(sorted(found, key=lambda strike: strike.at))


def _less(whole: Scenario, reduced: Reduced) -> Scenario:
    """The scenario without what was taken away."""
    if reduced == Reduced():
        return whole
    without = frozenset(reduced.without)
    only = reduced.only
    planned = [one for one in whole.submissions if only in (None, one.submission.task_id)]
    if "replay" in without:
        first = {one.submission.task_id: one for one in reversed(planned)}
        planned = sorted(first.values(), key=lambda one: one.at)
    acts = () if "act" in without else whole.acts
    return msgspec.structs.replace(
        whole,
        hosts=min(whole.hosts, reduced.hosts or whole.hosts),
        submissions=tuple(planned),
        acts=tuple(one for one in acts if only in (None, one.task_id)),
        strikes=tuple(one for one in whole.strikes if one.kind not in without),
        rates={kind: rate for kind, rate in whole.rates.items() if kind not in without},
        outcomes=tuple(name for name in whole.outcomes if name not in without) or ("succeed",),
    )


STEPS = ("charge", "mail", "ship")
"""Names of steps."""


class Script:
    """What handlers do: it depends on the scenario, the task and the attempt alone."""

    def __init__(self, scenario: Scenario) -> None:
        self._seed = scenario.seed
        self._outcomes = scenario.outcomes
        self._longest = scenario.settings.attempt_timeout
        self._follows = scenario.follows
        self._steps = scenario.steps

    def act(self, task_id: str, number: int) -> tuple[str, float]:
        """The outcome of an attempt, and the seconds until then."""
        chance = fraction(self._seed, "outcome", task_id, number)
        outcome = self._outcomes[int(chance * len(self._outcomes))]
        length = fraction(self._seed, "seconds", task_id, number)
        return outcome, min(self._longest, 2.0) * length * (1.5 if outcome == "slow" else 0.7)

    def follows(self, task_id: str) -> list[tuple[str, dict[str, str]]]:
        """What the task's handler submits: ids and payloads.  Ids that several share may be in
        conflict, and what followed submits nothing."""
        if not self._follows or "." in task_id:
            return []
        found = [(f"{task_id}.{number}", {"of": task_id}) for number in (1, 2)]
        if fraction(self._seed, "shares", task_id) < 0.5:
            alike = fraction(self._seed, "alike", task_id) < 0.5
            found.insert(1, ("all.1", {"of": "all" if alike else task_id}))
        return found

    def steps(self, task_id: str) -> tuple[str, ...]:
        """The steps that each attempt of a task makes, in order."""
        if not self._steps:
            return ()
        return STEPS[: 1 + int(len(STEPS) * fraction(self._seed, "steps", task_id))]

    def length(self, task_id: str, number: int, name: str) -> float:
        """Seconds that a step takes."""
        chance = fraction(self._seed, "step", task_id, number, name)
        return min(self._longest, 1.0) * chance * chance

    def forget(self, share: float) -> Forget | None:
        """What a redrive forgets; None: it does not say."""
        if not self._steps:
            return None
        chance = 7 * share % 1
        return None if chance < 0.4 else True if chance < 0.6 else STEPS[: int(10 * share) % 3]
