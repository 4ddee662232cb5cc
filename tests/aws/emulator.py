"""An AWS of one's own on 127.0.0.1: ministack, in the virtual environment that `make test` made.

It runs on an interpreter apart from the tests', because it runs the Lambdas on its own one, with
its own packages. Nothing it keeps outlives it: its files lie in the folder it was given. Tests ask
for the fixture `emulator` (plugin.py): one for each test process.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.ports import free_port

REGION = "eu-central-1"
ACCOUNT = "000000000000"

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS_TO_START = 60
_START = Path(__file__).with_name("emulated.py")


def interpreter() -> Path:
    """The Python that runs the emulator and the Lambdas in it.

    Raises FileNotFoundError where `make test` has not made it yet.
    """
    scripts = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    named = os.environ.get("UNLOST_EMULATOR_PYTHON")
    python = Path(named) if named else _ROOT / ".venv" / "emulator" / scripts
    if not python.exists():
        raise FileNotFoundError(f"no emulator at {python}: `make test` installs it")
    return python


class Emulator:
    """One running emulator; also a context manager, which stops it.

    `url` is where every service of it answers, `environment` what a process (or boto3, or osls)
    needs to talk to it and to nothing else, `output` the file with what it and its Lambdas wrote.
    With `auth`, calls are held to the IAM policies of who makes them, as on AWS.
    """

    def __init__(self, folder: Path, *, auth: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / "emulator.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._stopped = False
        self._process = _start(folder, self.output, self.port, auth=auth)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def environment(self) -> Mapping[str, str]:
        """The whole environment for a process that shall see this AWS, and no other."""
        mine = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return _without_aws(os.environ) | mine

    def stop(self) -> None:
        """Ends it and all its children; safe to call again."""
        if self._stopped:
            return
        self._stopped = True
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        # The group is the emulator's own: it leads it, and its Lambda processes are in it. It is
        # signalled before its leader is waited for, while nobody else can have its number.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not _ready(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the emulator did not start:\n{self.output.read_text()}")
            time.sleep(0.05)


def _start(folder: Path, output: Path, port: int, *, auth: bool) -> subprocess.Popen[bytes]:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AUTH": "true" if auth else "false",
        "PERSIST_STATE": "0",
        "STATE_DIR": str(scratch),
        "TMPDIR": str(scratch),
        "HOME": str(scratch),
        "LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
    }
    with output.open("wb") as log:
        return subprocess.Popen(
            [interpreter(), "-P", _START],  # beside it lie modules that are not the emulator's
            cwd=scratch,
            env=_without_aws(os.environ) | settings,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process may inherit: nothing that could bring it to a real account or elsewhere."""
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(("AWS_", "UNLOST_", "PYTEST_", "MINISTACK_"))
        and not name.upper().endswith("_PROXY")
    }


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/_ministack/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
