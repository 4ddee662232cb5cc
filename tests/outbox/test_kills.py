"""Relay, application and service are killed at random: afterwards tasks = committed rows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.outbox.places import Place
from tests.ports import free_port

APPLICATION = """
import random, sqlite3, sys, unlost
url = sys.argv[1]
if url.startswith("sqlite:///"):
    connect, mark = lambda: sqlite3.connect(url[10:], timeout=30), "?"
else:
    import psycopg
    connect, mark = lambda: psycopg.connect(url), "%s"
db = connect()
while True:
    for _ in range(random.randint(1, 5)):
        task = unlost.outbox.add(db, {"n": random.random()})
        db.execute(f"INSERT INTO orders (task) VALUES ({mark})", (task,))
    db.rollback() if random.random() < 0.2 else db.commit()
"""

PATIENCE = 60.0


class Tree:
    """Processes that are killed and started again; with whatever a service had as children."""

    def __init__(self, folder: Path, commands: dict[str, list[str]]) -> None:
        self._commands = commands
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._output = (folder / "output").open("ab")
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("UNLOST_")
        }

    def start(self, name: str) -> None:
        self._running[name] = subprocess.Popen(
            self._commands[name], stdout=self._output, stderr=self._output, env=self._environment
        )

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()  # the children of a service end with it
        process.wait()

    def close(self) -> None:
        for name in list(self._running):
            self.kill(name)
        self._output.close()


def is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def submitted(url: str) -> set[str]:
    found: set[str] = set()
    query: dict[str, str | int] = {"limit": 1000}
    with httpx.Client(base_url=url, trust_env=False) as client:
        while True:
            page = client.get("/tasks", params=query).raise_for_status().json()
            found |= {task["taskId"] for task in page["tasks"]}
            if page["nextCursor"] is None:
                return found
            query["cursor"] = page["nextCursor"]


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    return False


def kill_at_random(place: Place, folder: Path, seconds: float, seed: int) -> None:
    place.run("CREATE TABLE orders (task text)")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = [sys.executable, "-m", "unlost"]
    ledger = f"sqlite:///{folder / 'ledger.db'}"
    relay = [*program, "outbox", "relay", "--database", place.url, "--url", url]
    tree = Tree(
        folder,
        {
            "service": [*program, "api", "--ledger", ledger, "--port", str(port)],
            "relay": relay,
            "another relay": relay,
            "application": [sys.executable, "-c", APPLICATION, place.url],
        },
    )
    names = ["service", "relay", "another relay", "application"]
    try:
        for name in names:
            tree.start(name)
        wait_until(lambda: answers(url) and place.run("SELECT count(*) FROM orders")[0][0] > 0)
        random, end = Random(seed), time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(random.uniform(0.1, 1.0))
            name = random.choice(names)
            tree.kill(name)
            if name == "service":  # its children hold its port until they have noticed
                wait_until(lambda: is_free(port))
            tree.start(name)
        tree.kill("application")
        wait_until(lambda: place.left() == 0)
        wait_until(lambda: answers(url))
        committed = {task for (task,) in place.run("SELECT task FROM orders")}
        assert submitted(url) == committed
        assert len(committed) > 5 * seconds
        assert place.rejected() == {}
    finally:
        tree.close()
        place.run("DROP TABLE orders")


def test_afterwards_there_is_a_task_for_each_committed_row_and_no_other(
    place: Place, tmp_path: Path
) -> None:
    kill_at_random(place, tmp_path, 5.0, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_for_a_minute(place: Place, tmp_path: Path, seed: int) -> None:
    kill_at_random(place, tmp_path, 60.0, seed)
