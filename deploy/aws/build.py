"""Makes .build/TARGET/unlost.zip, the package of all five functions: standard library, and pip.

    python build.py                     for AWS Lambda: python3.13 on arm64
    python build.py --for local         for an emulator that runs functions on this very Python
    python build.py --source FOLDER     with your own handlers, at the top of the package, and what
                                        their requirements.txt names

The same inputs make the same bytes, so a deploy that changes nothing is none.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = HERE / ".build"

# pip's words for what AWS Lambda is; serverless.yml says runtime and architecture.
LAMBDA = (
    "--python-version=3.13",
    "--implementation=cp",
    "--platform=manylinux2014_aarch64",
    "--platform=manylinux_2_28_aarch64",
    "--only-binary=:all:",
)
TARGETS = {"lambda": LAMBDA, "local": ()}

# Parts of unlost that no function imports, by their place in src/unlost.
ELSEWHERE = (
    "__main__.py", "api/server.py", "cli", "ledger/memory", "ledger/postgres", "ledger/sqlite",
    "moving", "prove", "supervisor",
)  # fmt: skip
# What no running program reads.
LITTER = ("__pycache__", "bin", "tests", "test", "node_modules", ".git", ".venv")
LITTER_ENDINGS = (".pyc", ".pyi", ".c", ".h", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json")

UNZIPPED_LIMIT = 250 * 1024 * 1024  # Lambda's own
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can hold


def main() -> None:
    asked = arguments()
    files = dict(installed(HERE / "requirements.txt", asked.target))
    if asked.source:
        files |= installed(asked.source / "requirements.txt", asked.target)
    files |= {f"unlost/{name}": path for name, path in ours()}
    files |= dict([metadata()])
    if asked.source:
        files |= dict(below(asked.source))
    package = BUILD / asked.target / "unlost.zip"
    unzipped = write(package, files)
    if unzipped > UNZIPPED_LIMIT:
        sys.exit(f"{package.name}: {unzipped:,} bytes unzipped; Lambda takes {UNZIPPED_LIMIT:,}")
    print(  # noqa: T201 - osls shows it
        f"{package.relative_to(HERE)}: {package.stat().st_size:,} bytes, {unzipped:,} unzipped,"
        f" {len(files)} files, for {asked.target}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--for", dest="target", choices=TARGETS, default="lambda")
    parser.add_argument("--source", type=Path)
    asked = parser.parse_args()
    if asked.source and not asked.source.is_dir():
        parser.error(f"--source {asked.source} is no folder")
    return asked


def installed(requirements: Path, target: str) -> Iterator[tuple[str, Path]]:
    """What pip makes of a requirements.txt; kept until it, or the constraints, change."""
    if not requirements.exists():
        return
    constraints = ROOT / "constraints.txt"
    wanted = requirements.read_bytes(), constraints.read_bytes(), target, sys.version
    folder = BUILD / hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        pip(requirements, constraints, unfinished, TARGETS[target])
        try:
            unfinished.rename(folder)
        except OSError:  # another build was first, with the same
            shutil.rmtree(unfinished)
            if not folder.exists():
                raise
    yield from below(folder)


def pip(requirements: Path, constraints: Path, folder: Path, options: tuple[str, ...]) -> None:
    command = [
        sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check",
        "--no-compile", f"--target={folder}", f"--constraint={constraints}",
        f"--requirement={requirements}", *options,
    ]  # fmt: skip
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - this interpreter's pip
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit("unlost: pip could not install what the functions need; see above")


def ours() -> Iterator[tuple[str, Path]]:
    for name, path in below(ROOT / "src" / "unlost"):
        if not any(name == part or name.startswith(f"{part}/") for part in ELSEWHERE):
            yield name, path


def metadata() -> tuple[str, Path]:
    """What an installed unlost says of itself: /openapi.json tells the version from it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    path = BUILD / "METADATA"
    BUILD.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    unfinished.replace(path)
    return f"{name}-{version}.dist-info/METADATA", path


def below(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        litter = set(name.parts) & set(LITTER) or name.name.endswith(LITTER_ENDINGS)
        if path.is_file() and not litter:
            yield name.as_posix(), path


def write(package: Path, files: dict[str, Path]) -> int:
    """Writes the zip in one step; returns the size of what is in it."""
    package.parent.mkdir(parents=True, exist_ok=True)
    unfinished = package.with_name(f"{package.name}.{os.getpid()}")
    unzipped = 0
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            content = files[name].read_bytes()
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o100644 << 16  # a plain file that the functions' user can read
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=9)
            unzipped += len(content)
    unfinished.replace(package)
    return unzipped


if __name__ == "__main__":
    main()
