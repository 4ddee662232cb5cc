"""The client for Node, as users get it: built, on a real service, by Node's own test runner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.cli.running import running

PACKAGE = Path(__file__).parents[2] / "clients" / "typescript"
LARGEST = 40_000


def run(*words: str, **variables: str) -> tuple[int, str]:
    """Run a program in the package's folder, with the Node that osls runs on: its status, and what
    it said.  Nothing that it has started outlives it."""
    path = f"{Path(sys.prefix) / 'emulator' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        words,
        cwd=PACKAGE,
        env=os.environ | {"PATH": path} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=240)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said


def test_it_does_what_it_says() -> None:
    assert (PACKAGE / "dist").is_dir(), "`make test` builds it"
    tests = sorted(f"test/{path.name}" for path in (PACKAGE / "test").glob("*.test.js"))
    assert tests  # named: from 22 on, Node takes a folder for a module
    with running() as service:
        status, said = run("node", "--test", *tests, UNLOST_URL=service.url)
    assert status == 0, said


def test_the_package_has_what_users_need_and_nothing_else() -> None:
    status, said = run("npm", "pack", "--dry-run", "--json")
    assert status == 0, said
    found = json.loads(said)
    [packed] = found if isinstance(found, list) else found.values()
    files = {Path(one["path"]) for one in packed["files"]}
    built = {path.relative_to(PACKAGE) for path in (PACKAGE / "dist").rglob("*.*")}
    sources = [path.relative_to(PACKAGE / "src") for path in (PACKAGE / "src").rglob("*.ts")]
    assert files == {Path("package.json"), Path("README.md")} | built
    assert built == {
        "dist" / source.with_suffix(end) for source in sources for end in (".js", ".d.ts")
    }
    assert packed["size"] < LARGEST
    manifest = json.loads((PACKAGE / "package.json").read_text())
    assert "dependencies" not in manifest
