"""A service at a steady rate for hours, and whether anything of it grows.

    python -m bench.day --hours 8 [--rate 200] [--home sqlite postgres] [--folder PATH]

On each home: a tree that nobody harms, one that is killed, paused and started again every few
minutes, and a worker that claims by the API.  Tasks come at `--rate` a second and home; some fail,
hang, die, kill their worker; the dead are redriven, tasks cancelled, types paused, schedules made,
and what is over is purged after `--retain` seconds.  A sample each `--every` seconds goes to
`samples.jsonl` in the folder.  At the end, also of one that Ctrl-C or SIGTERM brings early, what is
left is worked off and then judged: nothing lost, `unlost audit` clean, nothing grows (`judging`);
`report.txt` says so, and `day.svg` shows it.  Exit status 1 where something does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, TextIO

import msgspec

from bench.day.home import Home, Postgres, Sqlite, Store
from bench.day.judging import Verdict, judge
from bench.day.load import Load
from bench.day.plot import draw
from bench.day.samples import Sample, processes
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.task import TERMINAL

STORES: Final[dict[str, Callable[[Path], Store]]] = {"sqlite": Sqlite, "postgres": Postgres}

SIZED: Final = 10
"""Samples among which there is one that measures the tables: that reads all of an SQLite file."""

MIB: Final = 2**20

PAUSED: Final = 20.0
"""Seconds for which a process is paused, longer than a lease: what it holds, as SQLite's lock, is
out of reach meanwhile."""

WORKED_OFF: Final = 300.0
"""Seconds for what is left at the end."""


class Day:
    """One home's day."""

    def __init__(self, home: Home, chosen: argparse.Namespace, output: TextIO) -> None:
        self.home = home
        self.load = Load(home.store.name, home.urls, chosen.rate, Random(chosen.seed))
        self.samples: list[Sample] = []
        self.faults: list[str] = []
        self.verdicts: list[Verdict] = []
        self._chosen = chosen
        self._output = output
        self._began = 0.0
        self._tables: dict[str, int] = {}

    async def run(self) -> None:
        """Until `load.over` is set, and then to the end of every task."""
        try:
            async with asyncio.TaskGroup() as group:
                for tree in self.home.trees:
                    group.create_task(tree.keep())
                await self.home.ready()
                group.create_task(self.home.trees[-1].keep())
                self._began = time.monotonic()
                loop = asyncio.get_running_loop()
                end = loop.call_later(self._chosen.hours * 3600, self.load.over.set)
                ledger = await open_ledger(self.home.store.url)
                load = group.create_task(self.load.run())
                group.create_task(self._harm())
                await self._sample_all(ledger)
                end.cancel()
                await load
                await self._worked_off(ledger)
                await self._look_for_faults(ledger)
                await ledger.close()
                for tree in reversed(self.home.trees):
                    self._fault_if(await tree.stop() != 0, f"{tree.name} did not end in order")
        finally:
            self.load.over.set()
            for tree in self.home.trees:
                tree.end()

    async def _harm(self) -> None:
        while not await self._is_over_in(self._chosen.harm - PAUSED):
            self.home.harm.next()
            await self._is_over_in(min(PAUSED, self._chosen.harm / 2))
            self.home.harm.stop()  # whoever is paused goes on

    async def _is_over_in(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.load.over.wait(), max(seconds, 0))
        return self.load.over.is_set()

    async def _sample_all(self, ledger: Ledger) -> None:
        while True:
            seconds = self._began + len(self.samples) * self._chosen.every - time.monotonic()
            over = await self._is_over_in(seconds)
            self.samples.append(sample := await self._sample(ledger, sized=over))
            self._output.write(msgspec.json.encode(sample).decode() + "\n")
            self._output.flush()
            if over:
                return

    async def _sample(self, ledger: Ledger, *, sized: bool) -> Sample:
        if sized or len(self.samples) % SIZED == 0:
            self._tables = await asyncio.to_thread(self.home.store.tables)
        counts = await ledger.counts()
        return Sample(
            at=time.monotonic() - self._began,
            home=self.home.store.name,
            processes=await asyncio.to_thread(processes, self.home),
            sizes=await asyncio.to_thread(self.home.store.sizes),
            tables=self._tables,
            accepted=counts.accepted,
            states={str(state): many for state, many in counts.states.items()},
            lag=self.load.lag,
            done=dict(self.load.done),
            harm=dict(self.home.harm.done),
        )

    async def _worked_off(self, ledger: Ledger) -> None:
        """Return once every task is over."""
        end = time.monotonic() + WORKED_OFF
        while True:
            counts = await ledger.counts()
            if counts.accepted == sum(counts.states[state] for state in TERMINAL):
                return
            if time.monotonic() > end:
                self.faults.append(f"not worked off: {counts}")
                return
            await asyncio.sleep(0.5)

    async def _look_for_faults(self, ledger: Ledger) -> None:
        missing = await self._missing(ledger)
        self._fault_if(missing > 0, f"{missing} accepted tasks are not there, or not over")
        audit = await self.home.audit()
        self._fault_if(not audit["ok"] or audit["lost"], f"audit: {audit['violations'][:5]}")
        for tree in self.home.trees:
            self._fault_if(bool(tree.odd_ends), f"{tree.name}: {tree.odd_ends}")
        for name in self._ended_by_themselves():
            self.faults.append(f"{name} ended, though nobody harmed it")

    def _ended_by_themselves(self) -> list[str]:
        known = [one.processes for one in self.samples]
        names = {name for each in known for name in each if not name.startswith("harmed")}
        return sorted(
            name for name in names if len({each[name].pid for each in known if name in each}) > 1
        )

    async def _missing(self, ledger: Ledger) -> int:
        """How many of the accepted tasks are not there, or not over."""
        left, after = self.load.accepted.copy(), 0
        prefix = self.load.id(0)[:-1]
        while entries := await ledger.entries(after, 1000):
            for entry in entries:
                after, record = entry.position, entry.record
                if record.task_id.startswith(prefix) and record.state in TERMINAL:
                    number = record.task_id.removeprefix(prefix)
                    if number.isdecimal():
                        left[int(number)] = 0
        return sum(left)

    def judge(self) -> None:
        """Look whether anything grew."""
        try:
            self.verdicts = judge(self.samples)
        except ValueError as few:
            self.faults.append(str(few))

    @property
    def holds(self) -> bool:
        """Whether nothing was wrong, and nothing grew."""
        return not self.faults and all(one.holds for one in self.verdicts)

    def _fault_if(self, wrong: bool, what: str) -> None:
        if wrong:
            self.faults.append(what)


def report(day: Day) -> str:
    """What became of it, as text."""
    last = day.samples[-1]
    said = f"{day.home.store.name}: {last.at / 3600:.2f} hours, {last.accepted:,} tasks"
    lines = [
        f"{said}, {last.states}",
        f"  done: {last.done}",
        f"  harm: {last.harm}",
        *(f"  WRONG: {fault}" for fault in day.faults),
        *(f"  {'' if one.holds else 'GROWS: '}{_line(one)}" for one in day.verdicts),
    ]
    return "\n".join(lines) + "\n"


def _line(one: Verdict) -> str:
    if one.unit == "B" and one.bound > MIB:
        second, last, bound = (
            f"{each / MIB:.1f} MiB" for each in (one.second, one.last, one.bound)
        )
    else:
        second, last, bound = (
            f"{each:.1f} {one.unit}" for each in (one.second, one.last, one.bound)
        )
    return f"{one.what}: {second}, at last {last} (bound {bound})"


async def run(chosen: argparse.Namespace, folder: Path) -> bool:
    """Live through it on each home at once; whether everything holds."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context((folder / "samples.jsonl").open("a"))
        days = []
        for name in chosen.home:
            place = folder / name
            place.mkdir()
            place.chmod(0o755)  # the server's user passes through
            store = STORES[name](place)
            stack.callback(store.close)
            home = Home(store, place, chosen.retain, Random(chosen.seed))
            days.append(Day(home, chosen, output))

        def end() -> None:
            for day in days:
                day.load.over.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        await asyncio.gather(*(day.run() for day in days))
    for day in days:
        day.judge()
    text = "\n".join(map(report, days))
    (folder / "report.txt").write_text(text)
    (folder / "day.svg").write_text(draw([one for day in days for one in day.samples]))
    print(text)
    return all(day.holds for day in days)


def main() -> int:
    """Run, judge, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.day", description=__doc__)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--rate", type=float, default=200, help="tasks a second on each home")
    parser.add_argument("--home", nargs="+", choices=list(STORES), default=list(STORES))
    parser.add_argument("--every", type=float, default=30, help="seconds between samples")
    parser.add_argument("--harm", type=float, default=90, help="seconds between what is harmed")
    parser.add_argument("--retain", type=float, default=120, help="as of unlost serve")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where all of it lies; else a new one")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="unlost-day-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    print(f"{folder}/samples.jsonl", flush=True)
    return 0 if asyncio.run(run(chosen, folder.resolve())) else 1


if __name__ == "__main__":
    sys.exit(main())
