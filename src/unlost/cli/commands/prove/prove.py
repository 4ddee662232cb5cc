"""`unlost prove`: what a handler does when everything around it fails."""

from __future__ import annotations

import random
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import msgspec
from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.commands.prove.report import print_report, progress
from unlost.cli.commands.prove.tasks import MOST, from_file, made_up
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.options import switch, whole
from unlost.cli.show.output import raw
from unlost.cli.signals import ended_tidily
from unlost.handlers import HandlerNotLoaded
from unlost.ledger.protocol import LedgerUnavailable
from unlost.prove.account import account
from unlost.prove.course import Plan, run
from unlost.prove.fates import Rates
from unlost.prove.look import look
from unlost.prove.page import page
from unlost.prove.probing import BadProbe, Probe
from unlost.prove.report import Report, failure
from unlost.prove.submitting import Job
from unlost.prove.tree import CannotProve
from unlost.settings import WrongSetting, resolve

RARE = 20
"""Kills, and leases taken away, that are enough however many tasks there are."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which tasks are run."""

    tasks: Annotated[
        str | None,
        Parameter(metavar="FILE", help="NDJSON as for submit; - is standard input",
                  allow_leading_hyphen=True),
    ] = None  # fmt: skip
    count: Annotated[
        int,
        Parameter(
            converter=whole, help="without --tasks: so many of each type, with an empty payload"
        ),
    ] = 20
    type_: Annotated[
        str | None, Parameter(name="--type", help="the handler for bare payloads in --tasks")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Injected:
    """What is injected, and how often."""

    failures: Annotated[
        float, Parameter(help="share of attempts that fail, before or after the handler ran")
    ] = 0.15
    kills: Annotated[
        float | None,
        Parameter(help="share of attempts whose worker is killed [default: 0.1, at most ~20]"),
    ] = None
    duplicates: Annotated[
        float | None,
        Parameter(help="share of first attempts overtaken by another [default: 0.1, at most ~20]"),
    ] = None
    lost_answers: Annotated[
        float, Parameter(help="share of attempts whose settlement's answer is lost")
    ] = 0.1
    restarts: Annotated[
        int, Parameter(converter=whole, help="how often all processes are killed")
    ] = 2

    def rates(self, tasks: int) -> Rates:
        """The shares, with as many tasks.  Raises WrongUsage."""

        usual = min(0.1, RARE / tasks)
        rates = Rates(
            self.failures,
            usual if self.kills is None else self.kills,
            usual if self.duplicates is None else self.duplicates,
            self.lost_answers,
        )
        for name, rate in msgspec.structs.asdict(rates).items():
            if not 0 <= rate <= 1:
                raise WrongUsage(f"--{name.replace('_', '-')} must be 0 to 1, not {rate:g}")
        if rates.total > 1:
            raise WrongUsage(f"all shares together must be at most 1, not {rates.total:g}")
        bounds.whole("--restarts", self.restarts, 0, 100)
        return rates


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Service:
    """How the service is set, and for how long it runs."""

    concurrency: Annotated[
        int,
        Parameter(
            converter=whole, help="attempts at once in a worker; above 1, a kill takes others along"
        ),
    ] = 1
    max_retries: Annotated[
        int,
        Parameter(
            converter=whole, help="attempts after the first, where task and handler do not say"
        ),
    ] = 10
    attempt_timeout: Annotated[
        float, Parameter(help="seconds that an attempt may take, where they do not say")
    ] = 10.0
    time_limit: Annotated[
        float, Parameter(help="seconds; the injections stop after 60 % of them")
    ] = 120.0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Told:
    """What is told of it, and how."""

    json: Annotated[bool, switch("--json", "print the report as JSON")] = False
    html: Annotated[str | None, Parameter(metavar="FILE", help="write the report there")] = None
    allow_duplicates: Annotated[
        bool, switch("--allow-duplicates", "exit 0 also where effects happened more than once")
    ] = False


def prove(
    *,
    handler: Annotated[str, Parameter(metavar="MODULE:NAME", env_var="UNLOST_HANDLER",
                                      help="the handlers, as for serve")],
    seed: Annotated[int | None, Parameter(converter=whole, help="repeats an earlier proof")] = None,
    probe: Annotated[
        str | None,
        Parameter(metavar="COMMAND", help="prints how often the effects of {taskId} happened"),
    ] = None,
    chosen: Chosen = Chosen(),
    injected: Injected = Injected(),
    service: Service = Service(),
    told: Told = Told(),
) -> None:  # fmt: skip
    """Run your handler while all that can fail does: is it idempotent?

    Runs real tasks through real processes on a temporary ledger, while attempts fail, workers are
    killed (-9), leases are taken away so that a task runs twice at once, answers get lost, and
    everything is restarted. Then shows where each task is, how each attempt ended, and which
    effects happened twice. YOUR HANDLER RUNS FOR REAL: point it at what may be hurt. Exit status 1
    if a promise breaks or an effect happened more than once.
    """

    asking = _probe(probe)
    seed = random.randrange(1_000_000) if seed is None else seed
    plan = _plan(handler, seed, chosen, injected, service)
    if told.html:
        Path(told.html).touch()  # whether it can be written is better known now
    report = _report(plan, asking, _command(seed))
    if told.html:
        Path(told.html).write_text(page(report), encoding="utf-8")
    if told.json:
        raw(msgspec.json.format(msgspec.json.encode(report)))
    else:
        print_report(report)
    why = failure(report, allow_duplicates=told.allow_duplicates)
    if why is not None:
        raise Failed(why)


def _probe(command: str | None) -> Probe | None:
    try:
        return None if command is None else Probe(command)
    except BadProbe as error:
        raise WrongUsage(f"--probe: {error}") from error


def _plan(handler: str, seed: int, chosen: Chosen, injected: Injected, service: Service) -> Plan:
    """What is to be done.  Raises WrongUsage, Failed."""
    try:
        resolve(asdict(service) | {"handler": handler}, {})
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    bounds.number("--time-limit", service.time_limit, 1, 86_400)
    injected.rates(1)
    jobs = _jobs(handler, chosen)
    return Plan(
        handler,
        jobs=tuple(jobs),
        seed=seed,
        rates=injected.rates(len(jobs)),
        restarts=injected.restarts,
        concurrency=service.concurrency,
        max_retries=service.max_retries,
        attempt_timeout=service.attempt_timeout,
        time_limit=service.time_limit,
    )


def _jobs(handler: str, chosen: Chosen) -> list[Job]:
    bounds.whole("--count", chosen.count, 1, MOST)
    bounds.type_name(chosen.type_)
    bounds.file(chosen.tasks or "-")
    try:
        types = look(handler)
    except HandlerNotLoaded as error:
        raise WrongUsage(str(error)) from error
    if chosen.tasks is None:
        return made_up(types, chosen.count)[:MOST]
    return from_file(chosen.tasks, chosen.type_, types, handler)


def _command(seed: int) -> str:
    """The command that repeats this one."""
    words = sys.argv[1:]
    given = any(word == "--seed" or word.startswith("--seed=") for word in words)
    return shlex.join(["unlost", *words, *([] if given else ["--seed", str(seed)])])


def _report(plan: Plan, probe: Probe | None, command: str) -> Report:
    """Run it, with everything in a folder that is gone afterwards.  Raises Failed."""
    import asyncio

    with ended_tidily(), TemporaryDirectory(prefix="unlost-prove-") as folder:
        try:
            with progress() as tell:
                evidence = asyncio.run(run(plan, Path(folder), tell))
        except (CannotProve, LedgerUnavailable) as error:
            raise Failed(str(error)) from error
        probed = None if probe is None else probe.ask(plan.task_ids)
        return account(plan, evidence, probed, command)
