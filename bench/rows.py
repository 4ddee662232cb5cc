"""The rows of the table: figures, and whether their bounds hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

from bench import measures
from bench.builds import Build
from bench.load import Result
from bench.measures import CONNECTIONS, Latency, Submits

T = TypeVar("T")


class Row(msgspec.Struct, frozen=True):
    """What was measured, the figure, its bound, and whether that holds."""

    what: str
    figure: str
    bound: str = ""
    holds: bool = True


def at_least(what: str, figure: float, bound: float, form: str = ".2f", unit: str = "") -> Row:
    """A row whose figure must not be lower."""
    return Row(what, f"{figure:{form}}{unit}", f"≥ {bound:{form}}{unit}", figure >= bound)


def at_most(what: str, figure: float, bound: float, form: str = ".2f", unit: str = "") -> Row:
    """A row whose figure must not be higher."""
    return Row(what, f"{figure:{form}}{unit}", f"≤ {bound:{form}}{unit}", figure <= bound)


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the rounds' ratios."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def quantile(share: float) -> Callable[[Result], float]:
    """That quantile of a result's latencies."""
    return lambda result: result.quantile(share)


def _rate(result: Result) -> float:
    return result.rate


async def measure(folder: Path, every: list[Build], scale: int, rounds: int) -> list[Row]:
    """All rows."""
    one = await measures.single_submits(folder, every, 1, 800 * scale, rounds)
    many = await measures.single_submits(folder, every, CONNECTIONS, 4_000 * scale, rounds)
    rows = [*_one_client(one, measures.sync(folder)), *_many_clients(many)]
    rows += await _rates(
        "batch submits over HTTP",
        every, lambda build: measures.batch_submits(folder, build, 20_000 * scale), rounds, 40_000,
    )  # fmt: skip
    rows += await _rates(
        "no-op tasks to their end",
        every, lambda build: measures.processing(folder, build, 10_000 * scale), rounds, 5_000,
    )  # fmt: skip
    waits = await _in_turns(
        every, lambda build: measures.start_latency(folder, build, 200, 2.0 * scale), rounds
    )
    few = await measures.claim_time(folder, 1_000)
    waiting = 200_000 * scale
    claims = await measures.claim_time(folder, waiting) / few
    return [
        *rows,
        *_starts(waits),
        at_most(f"claim with {waiting:,} waiting : with 1,000", claims, 2, unit="x"),
    ]


def _one_client(found: Submits, synced: float) -> list[Row]:
    ours = found.builds[0]
    p50 = median(map(quantile(0.5), ours))
    bare = median(map(quantile(0.5), found.bare))
    rows = [
        Row("one client: single submits over HTTP", f"{median(map(_rate, ours)):,.0f}/s"),
        Row("one client: p99", f"{median(map(quantile(0.99), ours)) * 1e6:,.0f} µs"),
        Row("one client: p50", f"{p50 * 1e6:,.0f} µs"),
        Row("the bare app's p50, and fdatasync's", f"{bare * 1e6:.0f} + {synced * 1e6:.0f} µs"),
        at_most("one client: p50 : (the bare app's + fdatasync's)", p50 / (bare + synced), 1.4),
    ]
    for other in found.builds[1:]:
        rates = ratio(map(_rate, ours), map(_rate, other))
        rows.append(at_least("one client: rate : the other build's", rates, 1.5))
    return rows


def _many_clients(found: Submits) -> list[Row]:
    ours = found.builds[0]
    late = ratio(map(quantile(0.99), ours), map(quantile(0.99), found.bare))
    share = ratio(map(_rate, ours), map(_rate, found.bare))
    rows = [
        Row(f"{CONNECTIONS} clients: single submits", f"{median(map(_rate, ours)):,.0f}/s"),
        Row("the same to the bare app", f"{median(map(_rate, found.bare)):,.0f}/s"),
        at_least(f"{CONNECTIONS} clients: rate : the bare app's", share, 0.55, ".0%"),
        at_most(f"{CONNECTIONS} clients: p99 : the bare app's", late, 3, unit="x"),
    ]
    for other in found.builds[1:]:
        rates = ratio(map(_rate, ours), map(_rate, other))
        rows.append(at_least(f"{CONNECTIONS} clients: rate : the other build's", rates, 1.3))
    return rows


async def _in_turns(
    every: list[Build], run: Callable[[Build], Awaitable[T]], rounds: int
) -> list[list[T]]:
    found: list[list[T]] = [[] for _ in every]
    for _ in range(rounds):
        for build, results in zip(every, found, strict=True):
            results.append(await run(build))
    return found


async def _rates(
    what: str,
    every: list[Build],
    run: Callable[[Build], Awaitable[float]],
    rounds: int,
    bound: float,
) -> list[Row]:
    ours, *others = await _in_turns(every, run, rounds)
    rows = [at_least(what, median(ours), bound, ",.0f", " tasks/s")]
    return rows + [at_least(f"{what} : the other build's", ratio(ours, o), 1.25) for o in others]


def _starts(waits: list[list[Latency]]) -> list[Row]:
    ours, *others = waits
    p50 = [one.called_p50 for one in ours]
    p99 = [one.called_p99 for one in ours]
    accepted = median(one.accepted_p50 for one in ours)
    memory = median(one.memory for one in ours)
    rows = [
        Row("start, with the HTTP call, at 200/s: p50", f"{median(p50):.2f} ms"),
        Row("start, with the HTTP call, at 200/s: p99", f"{median(p99):.2f} ms"),
        at_most("accepted → start, p50", accepted, 1, unit=" ms"),
        at_most("memory of the whole tree (PSS)", memory, 85, ".0f", " MiB"),
    ]
    for other in others:
        rows += [
            at_most("start, p50 : the other build's",
                    ratio(p50, [one.called_p50 for one in other]), 0.65),
            at_most("start, p99 : the other build's",
                    ratio(p99, [one.called_p99 for one in other]), 0.65),
        ]  # fmt: skip
    return rows
