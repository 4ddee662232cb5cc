"""Run by the emulator's own interpreter: ministack, which ends with the tests, and which keeps all
that a run of a function has written.

By itself it takes what is there 50 ms after the answer, or after 5 ms of silence; what comes later
goes with the next run of the same sandbox, or nowhere.  On a busy machine that is most of it.  So
the sandbox ends what it writes with a mark, for which it is waited here.
"""

import importlib
import os
import queue
import signal
import sys
import threading
import time
from typing import Any

MARK = "\x1e"
"""What a sandbox writes once a run is over."""

PATIENCE = 20.0
"""Seconds that a mark is waited for."""

RUN = """
            result = handler_fn(event, context)
"""
MARKED = f"""
            try:
                result = handler_fn(event, context)
            finally:
                sys.__stderr__.flush()
                os.write(2, {(MARK + chr(10)).encode()!r})
"""


def end_with_the_tests() -> None:
    """End this process, with every sandbox, once the standard input is at its end: so it goes too
    when the tests are killed and nobody is left to stop it."""
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


def written(worker: Any, *_: Any, **__: Any) -> str:
    """The lines of a run: up to its mark, or to the end of its process."""
    lines: list[str] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        over = worker._stderr_thread is None or not worker._stderr_thread.is_alive()
        try:
            line = worker._stderr_queue.get(timeout=0 if over else 0.05)
        except queue.Empty:
            if over:
                break
            continue
        text, mark, _ = line.partition(MARK)
        lines += [text] * bool(text or not mark)
        if mark:
            break
    return "\n".join(lines)


def keep_all(runtime: Any) -> None:
    """Have this emulator's sandboxes mark where a run ends, and wait for the mark."""
    script = runtime._PYTHON_WORKER_SCRIPT
    if script.count(RUN) != 1:
        raise RuntimeError("this version of ministack runs functions otherwise")
    runtime._PYTHON_WORKER_SCRIPT = script.replace(RUN, MARKED)
    runtime.Worker._drain_stderr = runtime.Worker._drain_stderr_bounded = written


if __name__ == "__main__":
    threading.Thread(target=end_with_the_tests, daemon=True).start()
    keep_all(importlib.import_module("ministack.core.lambda_runtime"))
    importlib.import_module("ministack.app").main()
