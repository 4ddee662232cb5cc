"""What a handlers' module does to its process holds for its code, and breaks nothing of ours."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.process.service import Service, Working, each_worker, until
from unlost.task import Outcome, State

HANDLERS = """
import asyncio, logging, os, signal, sys, threading, time
from pathlib import Path
from unlost import Handlers

FOLDER = Path(os.environ["FOLDER"])
sleep, write = time.sleep, sys.stdout.write
handlers = Handlers()
log = logging.getLogger("my.app")

def say(task):
    print("printed", task.id)
    print("to stderr", task.id, file=sys.stderr)
    log.warning("logged %s", task.id)

@handlers.task("says")
async def says(task):
    say(task)

@handlers.task("says sync")
def says_sync(task):
    say(task)

@handlers.task("hangs sync")
def hangs_sync(task):
    sleep(3600)

@handlers.task("exits hard")
def exits_hard(task):
    os._exit(7)

@handlers.task("works")
async def works(task):
    (FOLDER / task.id).touch()
    while not (FOLDER / "told").exists():
        await asyncio.sleep(0.01)

"""

LOGGING = {
    "a configuration by force": "logging.basicConfig(force=True, level='DEBUG')",
    "a console beside ours": "logging.getLogger().addHandler(logging.StreamHandler())",
    "a dictionary": """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "DEBUG"},
    "loggers": {"my.app": {}},
})
""",
    "all of it off, and worse": """
def fail(*args, **kwargs):
    raise RuntimeError("mine")

class Broken(logging.Logger):
    handle = makeRecord = isEnabledFor = fail

logging.getLogger().handlers.clear()
for name in list(logging.root.manager.loggerDict):
    logging.getLogger(name).disabled = True
logging.setLoggerClass(Broken)
logging.setLogRecordFactory(fail)
logging.Logger.handle = fail
logging.addLevelName(logging.WARNING, "\\033[31mWARNING")
logging.disable(logging.CRITICAL)
""",
}
"""What modules do to `logging`."""

SHOWN = {
    "a configuration by force": ["WARNING:my.app:logged says", "WARNING:my.app:logged says sync"],
    "a console beside ours": ["logged says", "logged says sync"],
    "a dictionary": ["logged says", "logged says sync"],
}
"""What each has its own handler print."""

PROCESS = """
import builtins, gc, locale, random, socket, warnings

def fail(*args, **kwargs):
    raise RuntimeError("mine")

class Policy(asyncio.DefaultEventLoopPolicy):
    new_event_loop = fail

warnings.simplefilter("error")
sys.excepthook = threading.excepthook = sys.unraisablehook = fail
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
asyncio.run(asyncio.sleep(0))
asyncio.set_event_loop_policy(Policy())
locale.setlocale(locale.LC_ALL, "C")
os.makedirs(FOLDER / "elsewhere", exist_ok=True)
os.chdir(FOLDER / "elsewhere")
os.umask(0o777)
os.environ.clear()
sys.path.clear()
gc.disable()
random.seed(0)
socket.setdefaulttimeout(0.000001)
sys.setswitchinterval(1)
time.time = time.time_ns = time.monotonic = time.perf_counter = time.sleep = lambda *_: 0
builtins.print = lambda *words, file=None: (file or sys.stdout).write(" ".join(words) + "\\n")

@handlers.task("replaces signals")
async def replaces_signals(task):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
    signal.set_wakeup_fd(-1)
"""
"""What one does to the rest of its process, at its import and later on."""


async def run(working: Working, folder: Path, module: str) -> tuple[Service, int]:
    """A service with these handlers that has seen each way to end; and its exit status."""
    (folder / "hostile.py").write_text(HANDLERS + module)
    settings: dict[str, Any] = {
        "handler": "hostile:handlers",
        "max_retries": 0,
        "ledger": "sqlite:///ledger.db",
    }
    async with working(folder, **settings) as running:
        for kind in ("says", "says sync"):
            await running.submit(kind, type=kind)
            assert (await running.ended(kind)).state is State.SUCCEEDED
        await running.submit("hangs sync", type="hangs sync", timeout=0.2)
        stuck = await running.ended("hangs sync", within=10)
        assert [one.outcome for one in stuck.attempts] == [Outcome.TIMED_OUT]
        await until(lambda: "attempt.stuck" in running.stdout())
        await running.submit("exits hard", type="exits hard")
        lost = await running.ended("exits hard")
        assert lost.attempts[-1].outcome is Outcome.LOST
        assert lost.attempt_count == 1
        if module == PROCESS:
            await running.submit("r", type="replaces signals")
            assert (await running.ended("r")).state is State.SUCCEEDED
        await running.submit("works", type="works")
        await running.running("works")
        running.process.send_signal(signal.SIGTERM)
        await until(lambda: bool(running.events("service.stopping")))
        (folder / "told").touch()
        status = await running.exit_status()
        assert (await running.ended("works", within=1)).state is State.SUCCEEDED
        return running, status


def told(log: list[dict[str, Any]], event: str, **members: object) -> int:
    """How many records of this event have these members."""
    return sum(
        line["event"] == event and all(line.get(name) == value for name, value in members.items())
        for line in log
    )


@each_worker
@pytest.mark.parametrize("configuration", [*LOGGING, "everything else"])
async def test_a_module_that_takes_over_its_process_leaves_the_service_whole(
    tmp_path: Path, configuration: str, working: Working
) -> None:
    running, status = await run(working, tmp_path, LOGGING.get(configuration, PROCESS))
    log = running.logs()
    assert status == 0
    for kind in ("says", "says sync"):
        for text in (f"printed {kind}", f"to stderr {kind}"):
            assert told(log, "handler.output", text=text, taskId=kind) == 1
    assert told(log, "attempt.stuck", taskId="hangs sync", level="warning") == 1
    assert told(log, "attempt.lost", taskId="exits hard") == 1
    for kind in ("hangs sync", "exits hard"):
        assert told(log, "task.dead_lettered", taskId=kind) == 1
    assert told(log, "service.stopping") == 1
    shown = [line["text"] for line in log if "logged" in line.get("text", "")]
    assert shown == SHOWN.get(configuration, [])
    kept = configuration in ("a console beside ours", "everything else")
    assert told(log, "log", message="logged says", taskId="says") == kept


@each_worker
async def test_a_process_that_signals_a_worker_drains_it(tmp_path: Path, working: Working) -> None:
    """A platform may signal each process by itself."""
    (tmp_path / "hostile.py").write_text(HANDLERS + "signal.signal(signal.SIGTERM, signal.SIG_DFL)")
    async with working(tmp_path, handler="hostile:handlers") as running:
        await running.submit("works", type="works")
        await running.running("works")
        [worker] = running.workers()
        os.kill(worker, signal.SIGTERM)
        (tmp_path / "told").touch()
        assert (await running.ended("works")).state is State.SUCCEEDED
        assert await running.stop() == 0
