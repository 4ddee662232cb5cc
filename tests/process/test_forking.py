"""The first children are forked off the supervisor; what is imported, and by whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.service import Service, children, service, until
from unlost.settings import Settings
from unlost.supervisor.processes.forking import fork

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there it is safe")

TELL_WHEN_ASKED = """
import os, signal, sys
def tell(*_):
    place = f"{os.environ['TOLD']}/{os.getpid()}"
    with open(f"{place}.new", "w") as file:
        file.write("\\n".join(sys.modules))
    os.rename(f"{place}.new", place)
signal.signal(signal.SIGUSR2, tell)
"""

MIB = 1024
"""In KiB, as the system tells sizes."""

LIBRARIES = {"cyclopts", "rich", "httpx", "httpcore", "uvicorn", "starlette", "yaml", "cronsim"}

CHILDREN = """
import json, os, signal, sys
from unlost.settings import Settings
from unlost.supervisor.child import __main__ as child
from unlost.supervisor.processes.forking import fork

def tell():
    fds = {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
           if os.path.exists(f"/proc/self/fd/{name}")}
    print(json.dumps({
        "argv": sys.argv, "path": sys.path, "main": sys.modules["__main__"].__name__,
        "group": os.getpgid(0) == os.getpid(), "fds": sorted(map(int, fds)),
        "shown": open("/proc/self/cmdline").read(), "read": os.read(0, 5).decode(),
        "same": os.path.sameopenfile(1, 2), "inherited": os.get_inheritable(90),
    }))
    sys.exit(7)

if sys.argv[1] == "ignored":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child.main = tell
stray = os.dup2(os.open(os.devnull, os.O_RDONLY), 50)
first, second, third = fork(3, Settings(), None)
outlet, inlet = os.pipe()
first.become("worker", [(inlet, 1), (inlet, 2), (stray, 90)])
os.close(inlet)
first.stdin.write(b"brief")
first.stdin.close()
print(os.fdopen(outlet).read(), end="")
second.forget()
third.send_signal(9)
print(json.dumps([first.wait(), second.wait(), third.wait()]))
third.send_signal(9)
third.become("api", [])
"""


def script(folder: Path, text: str, *words: str) -> list[Any]:
    """What a script in this folder says, line by line."""
    file = folder / "script.py"
    file.write_text(text)
    ended = subprocess.run(
        [sys.executable, str(file), *words], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stderr == ""
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("ends_of_children", ["told", "ignored"])
def test_a_child_has_what_it_is_given_and_nothing_else_of_the_supervisor(
    tmp_path: Path, ends_of_children: str
) -> None:
    secret = ("--webhook-secret", "whsec_of-the-supervisor")
    told, statuses = script(tmp_path, CHILDREN, ends_of_children, *secret)
    assert statuses == [7, 70, -signal.SIGKILL]
    assert told["argv"][1:] == ["worker"]
    assert told["argv"][0].endswith("supervisor/child/__main__.py")
    assert told["shown"] == "unlost.supervisor.child worker\0"
    assert told["main"] == "unlost.supervisor.child.__main__"
    assert str(tmp_path) not in told["path"]
    assert told["fds"] == [0, 1, 2, 90]
    assert told["read"] == "brief"
    assert told["same"]
    assert told["group"]
    assert not told["inherited"]


def test_a_process_with_threads_is_not_forked() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert fork(2, Settings(), None) == []
    finally:
        end.set()
        thread.join()


def test_a_process_whose_command_line_is_too_short_for_titles_is_not_forked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unlost.supervisor.processes.forking.LONGEST_TITLE", "x" * 100_000)
    assert fork(2, Settings(), None) == []


def shared(pid: int) -> int:
    """Memory of a process (KiB) that is no file's, and is another process's as well."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return sizes["Anonymous"] - sizes["Private_Dirty"]


async def test_processes_share_what_they_import_and_import_only_what_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(TELL_WHEN_ASKED)
    (tmp_path / "told").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    async with service(tmp_path, "serve", workers=2, failure_rate=0) as running:
        supervisor = running.process.pid
        began = children(supervisor)
        assert sorted(line for _, line in began) == [
            "unlost.supervisor.child api",
            "unlost.supervisor.child worker",
            "unlost.supervisor.child worker",
        ]
        assert all(shared(pid) >= 6 * MIB for pid in (supervisor, *(pid for pid, _ in began)))
        first, second = running.workers()
        [api] = [pid for pid, line in began if line.endswith("api")]
        used = {pid: await packages(tmp_path / "told", pid) for pid in (supervisor, api, second)}
        os.kill(first, signal.SIGKILL)
        [third] = await replaced(running, first, second)
        words = psutil.Process(third).cmdline()
        assert words == [sys.executable, "-P", "-m", "unlost.supervisor.child", "worker"]
        os.kill(second, signal.SIGKILL)
        await running.submit("a")
        await running.ended("a")
        assert await running.stop() == 0
    assert used[supervisor] & LIBRARIES == set()
    assert used[second] & LIBRARIES == set()
    assert used[api] & LIBRARIES == {"uvicorn", "starlette"}


async def packages(told: Path, pid: int) -> set[str]:
    """Of what a process has imported modules."""
    os.kill(pid, signal.SIGUSR2)
    await until((told / str(pid)).exists)
    return {name.partition(".")[0] for name in (told / str(pid)).read_text().split()}


async def replaced(running: Service, gone: int, other: int) -> set[int]:
    """The worker that runs in place of one that is gone."""
    await until(lambda: len(set(running.workers()) - {gone, other}) == 1)
    return set(running.workers()) - {gone, other}
