"""`unlost demo`: the whole story on a temporary ledger, with a real service."""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import msgspec
from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.client.answers import StatsSeen
from unlost.cli.client.connection import Service, read
from unlost.cli.client.delivery import Courier, in_background
from unlost.cli.client.ndjson import Item, batches
from unlost.cli.commands.audit import PATIENCE as LONG
from unlost.cli.commands.demo import report
from unlost.cli.commands.demo.service import Running, temporary_service
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.options import switch, whole
from unlost.cli.show.audit import AuditSeen, check
from unlost.cli.show.output import raw
from unlost.cli.show.progress.states import board
from unlost.cli.signals import ended_tidily
from unlost.cli.text import counted
from unlost.settings import WrongSetting, resolve

MAX_RETRIES = 2
PATIENCE = 120.0
"""Seconds without any progress after which the demo gives up."""


def demo(
    *,
    tasks: Annotated[int, Parameter(converter=whole, help="how many to submit")] = 1000,
    failure_rate: Annotated[float, Parameter(help="share of attempts that fail")] = 0.3,
    seed: Annotated[int | None, Parameter(converter=whole, help="repeats an earlier demo")] = None,
    json: Annotated[bool, switch("--json", "print only the outcome, as JSON")] = False,
) -> None:
    """Submit, fail, retry, dead-letter and audit, on a temporary ledger, in under a minute.

    Starts a real service on a free port, submits over HTTP, shows the states as they change, and
    ends with the sums, one dead letter and the audit. Leaves nothing behind. Exit status 1 if the
    audit finds a broken promise.
    """

    bounds.whole("--tasks", tasks, 1, 1_000_000)
    seed = random.randrange(1_000_000) if seed is None else seed
    try:
        resolve({"failure_rate": failure_rate, "seed": seed}, {})
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    given = {
        "failure_rate": failure_rate,
        "seed": seed,
        "max_retries": MAX_RETRIES,
        "backoff_base": 0.5,
        "grace": 1,
        "port": 0,
    }
    with ended_tidily(), TemporaryDirectory(prefix="unlost-demo-") as folder:
        told = f"{counted(tasks, 'task')}, {failure_rate:.0%} of attempts fail, --seed {seed}"
        if not json:
            print(told, flush=True)
        with temporary_service(Path(folder), given) as running:
            _process(running.service, tasks, quietly=json)
            _report_as_json(running.service, seed) if json else _report(running, failure_rate)


def _process(service: Service, tasks: int, *, quietly: bool) -> None:
    """Submit the tasks and show them until the last has ended.  Raises Failed."""
    submitting = in_background(lambda: _submit(service, tasks))
    last, since = None, time.monotonic()
    with nullcontext(lambda _: None) if quietly else board(tasks) as show:
        while True:
            stats = read(service.get("/stats"), StatsSeen)
            show(stats)
            if submitting.done():
                submitting.result()
                if stats.accepted == tasks and not stats.outstanding:
                    return
            if stats.states != last:
                last, since = stats.states, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                raise Failed(f"nothing has happened for {PATIENCE:.0f} s")
            time.sleep(0.1)


def _submit(service: Service, tasks: int) -> None:
    courier = Courier(service, patience=30)
    for batch in batches(Item(number, None, _task(number), 0) for number in range(1, tasks + 1)):
        for answer in courier.deliver(batch):
            if answer.status != 202:
                raise Failed(f"a task was refused: {answer.status} {answer.detail}")


def _task(number: int) -> bytes:
    payload = {"number": number, "simulate": {"seconds": 0.02}}
    return msgspec.json.encode({"taskId": f"demo-{number:06}", "payload": payload})


def _report_as_json(service: Service, seed: int) -> None:
    """The outcome, each part as the service sent it.  Raises Failed where a promise is broken."""
    audit = service.get("/audit", patience=LONG)
    parts = {
        "seed": seed,
        "stats": msgspec.Raw(service.get("/stats")),
        "deadLetters": msgspec.Raw(service.get("/dead-letters/groups")),
        "audit": msgspec.Raw(audit),
    }
    raw(msgspec.json.encode(parts))
    check(read(audit, AuditSeen))


def _report(running: Running, failure_rate: float) -> None:
    stats = read(running.service.get("/stats"), StatsSeen)
    report.print_sums(stats)
    report.print_attempts(running.service, failure_rate)
    report.print_deaths(running.service, stats, failure_rate ** (MAX_RETRIES + 1))
    report.print_monitor(running.log, stats.states["dead"])
    report.print_verdict(running.service)
