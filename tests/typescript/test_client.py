"""The client for Node, as users get it: built, on a real service, by Node's own test runner."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.running import running
from tests.typescript.node import PACKAGE, named, run

LARGEST = 40_000
APART = {"worker", "waiting"}  # test_worker.py


def test_it_does_what_it_says() -> None:
    assert (PACKAGE / "dist").is_dir(), "`make test` builds it"
    there = {path.name.split(".")[0] for path in (PACKAGE / "test").glob("*.test.js")}
    assert there > APART
    with running() as service:
        status, said = run(*named(*sorted(there - APART)), UNLOST_URL=service.url)
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
