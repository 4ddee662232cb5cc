"""The canary: what it decides, in virtual time against every kind of world; and a real one."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import Code, Command, doomed, http_to
from tests.cli.running import running
from unlost import Handlers
from unlost.cli.client.delivery import Clock
from unlost.cli.commands.dead.canary import Done, Seen, Stop, Terms, Wait, next_step
from unlost.cli.commands.dead.canary_run import Fate, Letter, Trial, run


@dataclass
class World:
    """Dead letters whose redrives take their time and end as `ends` says, by their order."""

    ends: Callable[[int], Fate]
    takes: Callable[[], float]
    now: float = 0.0
    running: dict[str, tuple[float, Fate]] = field(default_factory=dict)
    sent: list[tuple[float, int]] = field(default_factory=list)
    succeeded: int = 0
    number: int = 0

    def clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self.now += seconds

        return Clock(lambda: self.now, sleep)

    def redrive(self, letters: Sequence[Letter]) -> None:
        assert len(self.running) + len(letters) <= max(self.succeeded, 1)
        self.sent.append((self.now, len(letters)))
        for letter in letters:
            assert letter.task_id not in self.running
            self.running[letter.task_id] = (self.now + self.takes(), self.ends(self.number))
            self.number += 1

    def fate(self, letter: Letter) -> Fate:
        ends_at, fate = self.running[letter.task_id]
        if ends_at > self.now:
            return Fate.OPEN
        del self.running[letter.task_id]
        self.succeeded += fate is Fate.SUCCEEDED
        return fate


def tried(world: World, count: int, terms: Terms = Terms()) -> Trial:  # noqa: B008 - it is frozen
    trial = Trial([Letter(f"t{number}", 0) for number in range(count)])
    run(trial, world, terms, lambda: None, world.clock())
    return trial


def quick(seed: int = 1) -> Callable[[], float]:
    random = Random(seed)
    return lambda: random.uniform(0, 2)


def test_all_are_redriven_where_all_succeed() -> None:
    world = World(lambda _: Fate.SUCCEEDED, quick())
    trial = tried(world, 1000)
    assert (trial.why, trial.succeeded, trial.left, len(trial.open)) == (None, 1000, 0, 0)
    assert world.sent[0][1] == 1


def test_nothing_follows_a_first_one_that_dies_again() -> None:
    world = World(lambda _: Fate.DIED, quick())
    trial = tried(world, 1000, Terms(tolerate=50))
    assert world.number == 1
    assert trial.why == "the first one died again"
    assert (trial.left, trial.fallen) == (999, ["t0"])


def test_it_stops_by_itself_when_failures_recur_and_few_have_died_by_then() -> None:
    world = World(lambda number: Fate.DIED if number >= 40 else Fate.SUCCEEDED, quick())
    trial = tried(world, 10_000)
    assert trial.why is not None
    assert trial.succeeded <= 40
    assert trial.redriven <= 80


def test_as_many_may_die_as_are_tolerated() -> None:
    def ends(number: int) -> Fate:
        return Fate.DIED if number in (5, 6) else Fate.SUCCEEDED

    assert tried(World(ends, quick()), 50, Terms(tolerate=2)).why is None
    assert tried(World(ends, quick()), 50, Terms(tolerate=1)).why == "2 died again"


def test_the_next_one_is_first_where_somebody_else_took_the_first() -> None:
    world = World(lambda number: Fate.GONE if number == 0 else Fate.SUCCEEDED, quick())
    trial = tried(world, 10)
    assert world.sent[1][1] == 1
    assert (trial.gone, trial.succeeded, trial.why) == (1, 9, None)


def test_what_never_ends_is_given_up_after_the_patience_and_not_before() -> None:
    world = World(lambda _: Fate.SUCCEEDED, lambda: 1e9)
    trial = tried(world, 10, Terms(patience=30))
    assert trial.why == "nothing has ended for 30 s"
    assert 30 <= world.now < 31
    assert (world.number, trial.left) == (1, 9)


@given(
    st.floats(0.5, 500),
    st.integers(1, 300),
    st.integers(0, 3),
    st.integers(0, 10**6),
    st.floats(0, 0.3),
)
def test_whatever_happens_it_keeps_to_its_rate_and_adds_up(
    rate: float, count: int, tolerate: int, seed: int, failures: float
) -> None:
    random = Random(seed)
    world = World(
        lambda _: Fate.DIED if random.random() < failures else Fate.SUCCEEDED, quick(seed)
    )
    trial = tried(world, count, Terms(rate=rate, tolerate=tolerate))
    assert trial.redriven == world.number
    assert trial.redriven == trial.succeeded + trial.died + len(trial.open)
    fine = trial.died <= tolerate and not (trial.died and not trial.succeeded)
    assert (trial.why is None) == (trial.left == 0 and not trial.open and fine)
    if trial.proven_at is not None:
        rest = [(at, n) for at, n in world.sent if at >= trial.proven_at]
        for last, (at, _) in enumerate(rest):
            sent = sum(n for _, n in rest[: last + 1])
            assert sent <= 1 + (at - trial.proven_at) * rate + 1e-6


def test_nothing_to_do_is_done() -> None:
    assert next_step(Terms(), Seen(0, left=0)) == Done()


def test_one_under_way_is_waited_for() -> None:
    assert isinstance(next_step(Terms(), Seen(1, left=5, open=1)), Wait)
    assert isinstance(next_step(Terms(), Seen(1, left=5, open=0, died=1)), Stop)


def test_it_outlives_a_restart_of_the_service_and_tells_how_far_it_came_at_ctrl_c(
    unlost: Command,
) -> None:
    ledger = f"sqlite:///{unlost.folder / 'unlost.db'}"
    code = Code()
    handlers = Handlers.for_every_type(code)
    with running(ledger=ledger, handlers=handlers) as first, http_to(first.url) as http:
        http.process(doomed(*"abcdefghijklmnopqrst"))
        code.mended = True
        words = ("dead", "redrive", "--all", "--canary", "--rate", "8", "--json")
        process = unlost.start(*words, UNLOST_URL=first.url)
        while http.task("b")["state"] == "dead":
            time.sleep(0.01)
    with running(first.port, ledger, handlers), http_to(first.url) as http, process:
        while http.task("d")["state"] == "dead":
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    sums = json.loads(out)
    assert process.returncode == 130
    assert sums["redriven"] >= 3
    assert sums["redriven"] + sums["left"] == 20
    assert (sums["diedAgain"], sums["stopped"]) == (0, None)
