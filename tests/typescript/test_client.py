"""The client for Node, as users get it: built, on a real service, by Node's own test runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.running import running

PACKAGE = Path(__file__).parents[2] / "clients" / "typescript"
LARGEST = 20_000


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the package's folder, with the Node that osls runs on."""
    path = f"{Path(sys.prefix) / 'emulator' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        words,
        cwd=PACKAGE,
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_it_does_what_it_says() -> None:
    assert (PACKAGE / "dist").is_dir(), "`make test` builds it"
    with running() as service:
        done = run("node", "--test", "test/", UNLOST_URL=service.url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_has_what_users_need_and_nothing_else() -> None:
    done = run("npm", "pack", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    [packed] = found if isinstance(found, list) else found.values()
    files = {Path(one["path"]) for one in packed["files"]}
    built = {path.relative_to(PACKAGE) for path in (PACKAGE / "dist").iterdir()}
    sources = {path.stem for path in (PACKAGE / "src").iterdir()}
    assert files == {Path("package.json"), Path("README.md")} | built
    assert {path.name for path in built} == {
        f"{source}{end}" for source in sources for end in (".js", ".d.ts")
    }
    assert packed["size"] < LARGEST
    manifest = json.loads((PACKAGE / "package.json").read_text())
    assert "dependencies" not in manifest
