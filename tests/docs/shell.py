"""Commands of the pages, run as written."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx

ADDRESS = "localhost:8080"
"""Where the pages have the service."""


def run(command: str, url: str, folder: Path) -> str:
    """Run a command of a page against this service; what it prints.  It must succeed."""
    if command.startswith("curl "):
        return curl(shlex.split(command.replace(ADDRESS, url)))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        check=False,
        cwd=folder,
        env=os.environ | {"PATH": path, "UNLOST_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(words: list[str]) -> str:
    """Do what `curl` would do with these words, where there is none."""
    method, headers, body, url, verbose = "GET", {}, None, "", False
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(rest)
        elif word == "-i":
            verbose = True
        elif word != "-s":
            url = word
    answer = httpx.request(method, url, headers=headers, content=body, timeout=30)
    assert answer.status_code < 500
    head = f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}\n" if verbose else ""
    return head + answer.text + "\n"
