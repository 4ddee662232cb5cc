"""Files of the working directory that are named like modules of Python's or of ours."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.process.service import UNLOST, service
from tests.process.test_starting import refusal
from unlost.task import Outcome, State

APP = """
from unlost import Handlers

handlers = Handlers()

@handlers.task("succeeds")
async def succeeds(task):
    import own
    import colorsys  # Python's: who imports late is as a rule a library
    return own.RESULT if colorsys.rgb_to_hsv else None

@handlers.task("fails")
def fails(task):
    raise ValueError(task.id)

@handlers.task("hangs", timeout=0.2)
def hangs(task):
    while True:
        pass

def proved(task):
    return task.id
"""

ALL = {*sys.stdlib_module_names, *packages_distributions()} - {"unlost"}


def files(folder: Path, names: set[str], content: str = "raise RuntimeError('mine')") -> None:
    """A file of each of these names, and the handlers beside them."""
    for name in names:
        (folder / f"{name}.py").write_text(content)
    (folder / "app.py").write_text(APP)
    (folder / "own.py").write_text("RESULT = 7")


def ran(folder: Path, *command: str) -> tuple[int, str, str]:
    """A command's exit status, stdout and stderr in this folder."""
    done = subprocess.run(
        command, check=False, cwd=folder, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


async def test_a_service_runs_among_files_of_every_name(tmp_path: Path) -> None:
    files(tmp_path, ALL)
    async with service(tmp_path, handler="app:handlers", max_retries=0) as running:
        for kind in ("succeeds", "fails", "hangs"):
            await running.submit(kind, type=kind)
        succeeded = await running.ended("succeeds")
        failed, hung = await running.ended("fails"), await running.ended("hangs")
        assert (succeeded.state, succeeded.result) == (State.SUCCEEDED, "7")
        assert failed.error is not None
        assert (failed.error.type, failed.error.message) == ("ValueError", "fails")
        assert [one.outcome for one in hung.attempts] == [Outcome.TIMED_OUT]
        assert await running.stop() == 0


def test_doctor_and_prove_run_there_too(tmp_path: Path) -> None:
    files(tmp_path, ALL)
    status, _, said = ran(tmp_path, UNLOST, "doctor", "--port=0", "--handler=app:handlers")
    assert (status, said) == (0, "")
    status, _, said = ran(
        tmp_path, UNLOST, "prove", "--handler=app:proved", "--count=2", "--restarts=0", "--json"
    )
    assert status == 0, said


def test_python_m_unlost_is_unlost_there(tmp_path: Path) -> None:
    """But for the modules of which Python itself makes its -m."""
    start = "import runpy, pkgutil, sys; print(*sys.modules)"
    _, needed, _ = ran(tmp_path, sys.executable, "-I", "-c", start)
    files(tmp_path, ALL - {*needed.split()})
    status, _, said = ran(
        tmp_path, sys.executable, "-m", "unlost", "stats", "--url=http://127.0.0.1:9"
    )
    assert status == 1
    assert said.startswith("unlost: ")
    assert said.count("\n") == 1
    assert "a bug in unlost" not in said
    line = f"{sys.executable} -m unlost doctor --port=0 --handler=app:handlers"
    assert ran(tmp_path, *line.split())[0] == 0


@pytest.mark.parametrize("content", ["raise RuntimeError('mine')", ""])
def test_a_file_that_a_handlers_module_gets_in_place_of_pythons_is_named(
    tmp_path: Path, content: str
) -> None:
    """What a module imports is its own wish; a library that it needs may not expect that."""
    files(tmp_path, {"wsgiref"}, content)
    (tmp_path / "app.py").write_text("from wsgiref.simple_server import make_server")
    status, said = refusal(tmp_path, "worker", handler="app:handlers")
    assert status == 2
    assert said.startswith("unlost: importing 'app' failed: ")
    assert said.count("\n") == 1
    assert str(tmp_path / "wsgiref.py") in said
