"""The ledger's files are removed, moved or replaced under a running service: it takes nothing that
no start would find, says why, and lets what is there be read."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.docs.pages import DOCS
from tests.process.service import children, end, launch

WHY = "removed or replaced while it was in use"
ALL = ("", "-wal", "-shm", "-lock")


class Served:
    """A running service, asked over HTTP alone: nobody else has its ledger open."""

    def __init__(self, process: subprocess.Popen[str], http: httpx.Client, folder: Path) -> None:
        self.process = process
        self.http = http
        self.folder = folder

    def submit(self, task_id: str, **options: Any) -> httpx.Response:
        body = {"taskId": task_id, "type": "works", "payload": {}, **options}
        return self.http.post("/tasks", json=body)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "stdout").read_text().splitlines()]

    def told(self) -> list[str]:
        return [str(one["why"]) for one in self.log() if one["event"] == "ledger.unavailable"]


@contextmanager
def served(folder: Path, role: str = "serve", **settings: Any) -> Iterator[Served]:
    process = launch(folder, role, **({"handler": "process_app:handlers"} | settings))
    try:
        assert process.stderr is not None
        ready = process.stderr.readline()
        assert ready.startswith("unlost is listening on "), ready
        with httpx.Client(base_url=ready.split()[-1], timeout=30) as http:
            yield Served(process, http, folder)
    finally:
        end(process)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def until(holds: Callable[[], bool], within: float = 30.0) -> None:
    stop = time.monotonic() + within
    while not holds():
        assert time.monotonic() < stop, "it did not come to that in time"
        time.sleep(0.02)


def remove(*parts: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for part in parts:
            Path(f"{folder}/ledger.db{part}").unlink()

    return act


def move(source: Path, target: Path) -> None:
    for part in ALL:
        (source / f"ledger.db{part}").rename(target / f"ledger.db{part}")


def put_backup_over(folder: Path) -> None:
    """As `install` does, or `cp --remove-destination`, or a deploy's rename."""
    shutil.copy(folder / "ledger.db", folder / "backup.db")
    (folder / "backup.db").rename(folder / "ledger.db")


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(remove(*ALL), id="rm unlost.db*"),
        pytest.param(lambda folder: move(folder, folder.parent), id="mv"),
        pytest.param(put_backup_over, id="cp over"),
    ],
)
def test_nothing_is_acknowledged_into_files_that_are_gone(
    folder: Path, act: Callable[[Path], None]
) -> None:
    with served(folder) as service:
        assert service.submit("before").status_code == 202
        until(lambda: _state(service, "before") == "succeeded")
        act(folder)
        _must_refuse(service)
        assert service.http.get("/tasks/before").json()["result"] is not None
        assert service.http.get("/livez").status_code == 200
        until(lambda: bool(service.told()))
        time.sleep(1.2)  # whoever would say it again does so each second
        assert len(service.told()) == 1
        assert WHY in service.told()[0]
        assert f"{folder}/ledger.db" in service.told()[0]


def _must_refuse(service: Served) -> None:
    for number in range(3):
        refused = service.submit(f"after-{number}")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert WHY in refused.json()["detail"]
    unready = service.http.get("/readyz")
    assert unready.status_code == 503
    assert WHY in unready.json()["detail"]
    assert str(service.folder) not in unready.text


def _state(service: Served, task_id: str) -> str:
    return str(service.http.get(f"/tasks/{task_id}").json()["state"])


@pytest.mark.skipif(sys.platform != "linux", reason="open files have paths on Linux alone")
def test_what_was_removed_can_be_saved_as_the_page_says(folder: Path) -> None:
    [command] = re.findall(r"(?m)^\$ (cp /proc/.*)$", (DOCS / "operations.md").read_text())
    with served(folder, "api") as service:
        assert service.submit("before", delaySeconds=600).status_code == 202
        remove(*ALL)(folder)
        _must_refuse(service)
        pid = service.process.pid
        names = {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
        for word, part in (("DATABASE", ""), ("LOG", "-wal")):
            gone = f"{folder}/ledger.db{part} (deleted)"
            command = command.replace(f"${word}", min(n for n, to in names.items() if to == gone))
        subprocess.run(command.replace("$PID", str(pid)), shell=True, cwd=folder, check=True)
    with served(folder, "api", ledger=f"sqlite:///{folder}/saved.db") as service:
        assert _state(service, "before") == "queued"


def test_an_idle_service_says_so_by_itself_and_claims_nothing(folder: Path) -> None:
    with served(folder) as service:
        for number in range(5):
            assert service.submit(f"t{number}", delaySeconds=1).status_code == 202
        remove(*ALL)(folder)
        until(lambda: bool(service.told()))
        time.sleep(1)  # they are due
        assert [path.name for path in folder.iterdir()] == ["stdout"]  # no handler made its file
        assert len(service.told()) == 1


def test_files_that_are_put_back_count_after_a_restart_alone(folder: Path) -> None:
    with served(folder, "api") as service:
        assert service.submit("before", delaySeconds=600).status_code == 202
        move(folder, folder.parent)
        until(lambda: bool(service.told()))
        move(folder.parent, folder)
        until(lambda: service.http.get("/readyz").status_code == 503)  # it has learned it, too
        _must_refuse(service)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
    with served(folder, "api") as service:
        assert service.submit("after").status_code == 202
        assert _state(service, "before") == "queued"


def test_what_was_in_a_log_that_is_removed_outlives_a_kill(folder: Path) -> None:
    with served(folder) as service:
        ids = [f"t{number}" for number in range(20)]
        assert all(service.submit(one, delaySeconds=600).status_code == 202 for one in ids)
        remove("-wal")(folder)
        _must_refuse(service)
        time.sleep(0.5)  # it answers, and then brings the log into the database
        _kill_all(service.process.pid)
    with served(folder, "api") as service:
        assert [_state(service, one) for one in ids] == ["queued"] * 20


def _kill_all(pid: int) -> None:
    everyone = [pid, *(child for child, _ in children(pid))]
    for one in everyone:
        psutil.Process(one).suspend()
    for one in everyone:
        os.kill(one, signal.SIGKILL)


def test_no_second_ledger_is_made_beside_a_service_that_has_one_open(folder: Path) -> None:
    with served(folder, "api"):
        remove("")(folder)
        second = launch(folder, "api")
        _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        assert said.startswith(f"unlost: {folder}/ledger.db is gone, but another process")
        assert said.count("\n") == 1
        assert not (folder / "ledger.db").exists()
    third = launch(folder, "api")  # the service has ended, and has left its log
    _, said = third.communicate(timeout=60)
    assert third.returncode == 1
    assert said.startswith(f"unlost: {folder}/ledger.db is gone, but its log ")
    assert said.count("\n") == 1


def test_no_second_service_starts_on_another_name_of_the_file(folder: Path) -> None:
    other = folder / "other.db"
    with served(folder, "api") as service:
        assert service.submit("before", delaySeconds=600).status_code == 202
        os.link(folder / "ledger.db", other)
        second = launch(folder, "api", ledger=f"sqlite:///{other}")
        _, said = second.communicate(timeout=60)
        assert second.returncode == 2
        assert said.startswith(f"unlost: {other} is open in another process by another name")
        assert said.count("\n") == 1
        assert sorted(path.name for path in folder.glob("other.db*")) == ["other.db"]
        assert service.submit("after", delaySeconds=600).status_code == 202
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
    with served(folder, "api", ledger=f"sqlite:///{other}") as service:
        assert [_state(service, one) for one in ("before", "after")] == ["queued"] * 2


def test_a_service_that_can_no_longer_be_read_ends_with_one_line(folder: Path) -> None:
    with served(folder) as service:
        assert service.submit("before").status_code == 202
        until(lambda: _state(service, "before") == "succeeded")
        processes = {command.split()[-1]: pid for pid, command in children(service.process.pid)}
        remove(*ALL)(folder)
        _must_refuse(service)
        os.kill(processes["worker"], signal.SIGKILL)
        until(lambda: len(_ends(service)) == 1)
        time.sleep(0.5)  # another one would have been started by now
        assert [command.split()[-1] for _, command in children(service.process.pid)] == ["api"]
        assert _state(service, "before") == "succeeded"
        os.kill(processes["api"], signal.SIGKILL)
        assert service.process.wait(30) == 1
        assert service.process.stderr is not None
        said = service.process.stderr.read()
        assert said.startswith("unlost: the ledger's file was removed or replaced")
        assert said.count("\n") == 1
        assert [one["role"] for one in _ends(service)] == ["worker", "api"]
        assert not (folder / "ledger.db").exists()


def test_workers_alone_end_with_the_last_of_them(folder: Path) -> None:
    worker = launch(folder, "worker", workers=2, handler="process_app:handlers")
    try:
        assert worker.stderr is not None
        assert worker.stderr.readline() == "unlost worker is ready\n"
        remove(*ALL)(folder)
        for pid, _ in children(worker.pid):
            os.kill(pid, signal.SIGKILL)
        assert worker.wait(30) == 1
        assert worker.stderr.read().count("\n") == 1
    finally:
        end(worker)


def _ends(service: Served) -> list[dict[str, Any]]:
    return [one for one in service.log() if one["event"] == "process.ended"]


def test_a_module_that_changes_the_folder_has_the_same_ledger(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "moving.py").write_text(
        f"import os\nos.chdir({str(folder / 'elsewhere')!r})\nasync def handler(task): ..."
    )
    with served(folder, ledger="sqlite:///ledger.db", handler="moving:handler") as service:
        assert service.submit("t").status_code == 202
        until(lambda: _state(service, "t") == "succeeded")
        assert list((folder / "elsewhere").iterdir()) == []
