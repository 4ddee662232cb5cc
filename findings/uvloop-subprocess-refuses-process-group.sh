#!/usr/bin/env bash
# uvloop 0.23.0, Python 3.11 and later, asyncio's own `create_subprocess_exec`.
#
# What happens: `asyncio.create_subprocess_exec(…, process_group=0)` starts the process in a group of its own under
# asyncio's event loop.  Under uvloop the same call raises `ValueError: unexpected kwargs: process_group`: no process is
# started.  The argument came to `subprocess.Popen` with Python 3.11, and asyncio hands it on untouched.
#
# What one would guess: that the loop which calls itself a drop-in replacement takes what asyncio's takes, on each Python
# that it publishes wheels for.
# Whom it hurts: who starts children in groups of their own (to end a whole tree by one signal) and tests under asyncio's
# loop: a server that brings uvloop by itself, as uvicorn does where it is installed, fails at the first such call.
# What helps: `start_new_session=True`, which uvloop knows (a session is more than a group: it cuts the terminal off), or
# `subprocess.Popen` in a thread.
#
# Seen: asyncio: a group of its own; uvloop: ValueError: unexpected kwargs: process_group; with start_new_session: both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "uvloop==0.23.0"
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import subprocess
import sys

import uvloop

LEADS = "import os; print(os.getpgrp() == os.getpid())"


async def leads_its_group(**options):
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", LEADS, stdout=subprocess.PIPE, **options)
    out, _ = await process.communicate()
    return out.decode().strip()


seen = {}
for loop, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
    for options in ({"process_group": 0}, {"start_new_session": True}):
        try:
            seen[loop, *options] = run(leads_its_group(**options))
        except ValueError as error:
            seen[loop, *options] = str(error)
        print(f"Python {sys.version.split()[0]}, uvloop {uvloop.__version__}: {loop}, {options}: {seen[loop, *options]}")
assert seen["asyncio", "process_group"] == "True", seen
assert seen["uvloop", "process_group"] == "unexpected kwargs: process_group", "it behaves otherwise now"
assert seen["asyncio", "start_new_session"] == seen["uvloop", "start_new_session"] == "True", seen
PYTHON
