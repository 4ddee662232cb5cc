"""A child of the supervisor: `python -m unlost.supervisor.child api`, `… worker`, `… outbox`."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import traceback

import msgspec

from unlost.handlers import HandlerNotLoaded
from unlost.ledger.protocol import LedgerUnavailable, NotALedger
from unlost.settings import WrongSetting
from unlost.supervisor.brief import FAILED, OPENING, READY, SHOW, WRONG, Brief, Exit, Ready
from unlost.supervisor.child.ending import end_soon
from unlost.supervisor.child.orphan import die_with_parent, watch_parent
from unlost.supervisor.child.voice import Orders, Voice
from unlost.supervisor.child.working import work
from unlost.telemetry import logs
from unlost.telemetry.logs import Log, Writer
from unlost.tracing import CannotTrace

log = Log("unlost.supervisor.child")


def main() -> None:
    """Run one role as the brief on stdin says, and exit with an `Exit`."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the supervisor acts on it
    brief, lifeline = _read_brief()
    orders = Orders()
    watch_parent(brief.parent, lifeline, Exit.ORPHANED, orders.stop)
    faulthandler.enable()
    faulthandler.register(SHOW, file=2, all_threads=False)  # ours all wait
    role = sys.argv[1]
    writer = logs.Writer(brief.log)
    logs.setup(writer, role=role, pid=os.getpid())
    voice = Voice(brief.voice)
    try:
        status = _play(role, brief, lifeline, voice, writer, orders)
    except (HandlerNotLoaded, CannotTrace, NotALedger, LedgerUnavailable, WrongSetting) as error:
        word = WRONG if isinstance(error, HandlerNotLoaded | CannotTrace) else FAILED
        voice.say(word + " ".join(str(error).split()).encode("utf-8", "replace"))
        status = Exit.FAILED
    except Exception as error:
        log.exception("process.failed")
        voice.say(FAILED + _told(role, error).encode("utf-8", "replace"))
        status = Exit.FAILED
    end_soon(status, writer, at_once=False)
    writer.close()
    sys.exit(status)


def _play(
    role: str, brief: Brief, lifeline: int, voice: Voice, writer: Writer, orders: Orders
) -> Exit:
    """Be what this role is, until there is a reason to end."""
    with _runner() as runner:
        if role == "api":
            from unlost.supervisor.child.serving import serve_api  # noqa: PLC0415  only it: the web

            runner.run(serve_api(brief, voice))
            return Exit.DONE
        if role == "outbox":
            from unlost.supervisor.child.relaying import relay  # noqa: PLC0415  only it: the relay

            voice.doing(OPENING)
            runner.run(relay(brief, lambda: voice.say(READY + msgspec.json.encode(Ready()))))
            return Exit.DONE
        return work(brief, lifeline, voice, writer, orders, runner)


def _told(role: str, error: Exception) -> str:
    """What a child failed of, in one line that names the file where it did."""
    told = f"the {role} process failed: {type(error).__name__}: {error}"
    *_, last = [*traceback.walk_tb(error.__traceback__)]
    return " ".join(f"{told} ({last[0].f_code.co_filename}, line {last[1]})".split())


def _read_brief() -> tuple[Brief, int]:
    """The brief, and a descriptor whose end is the supervisor's; stdin becomes empty."""
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 1)
        if not data:
            os._exit(Exit.ORPHANED)
        line += data
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return msgspec.json.decode(line, type=Brief), lifeline


def _runner() -> asyncio.Runner:
    """Runs what it is given in one event loop, which does not depend on the loop policy."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415  not on every platform
    except ImportError:
        return asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
    return asyncio.Runner(loop_factory=new_event_loop)


if __name__ == "__main__":
    main()
