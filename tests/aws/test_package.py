"""The package alone, with what the Lambda runtime brings and with nothing of this machine's."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.aws.emulator import Emulator, interpreter
from tests.aws.osls import DEPLOY
from tests.aws.runtime_api import RuntimeApi, runtime_api

FUNCTIONS = ("api", "process", "monitor", "sweep", "count")

# What AWS documents the runtime to have: its own client, and boto3 with what that needs.
RUNTIME = (
    "awslambdaric", "runtime_client*", "simplejson", "snapshot_restore_py.py",
    "boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3",
)  # fmt: skip

MOST_BYTES = 3_000_000

Start = Callable[..., RuntimeApi]


def build(*options: str) -> str:
    command: list[str | Path] = [interpreter(), DEPLOY / "build.py", *options]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout


@pytest.fixture(scope="module")
def package() -> Path:
    build("--for", "local")
    return DEPLOY / ".build" / "local" / "unlost.zip"


@pytest.fixture(scope="module")
def task_root(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Lambda would unpack it."""
    folder = tmp_path_factory.mktemp("task")
    zipfile.ZipFile(package).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of the Lambda runtime, and no others."""
    found = subprocess.run(
        [interpreter(), "-c", "import boto3; print(boto3.__path__[0])"],
        check=True, text=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    folder = tmp_path_factory.mktemp("runtime")
    for pattern in RUNTIME:
        paths = list(Path(found.strip()).parent.glob(pattern))
        assert paths, pattern
        for path in paths:
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def environment(emulator: Emulator, runtime: Path) -> dict[str, str]:
    return {
        **emulator.environment,
        "PYTHONPATH": str(runtime),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_LAMBDA_FUNCTION_NAME": "one",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "one",
        "AWS_LAMBDA_LOG_STREAM_NAME": "one",
        "UNLOST_TABLE": "unlost-test",
        "UNLOST_QUEUE_URL": f"{emulator.url}/000000000000/unlost-test",
        "UNLOST_DEAD_LETTER_QUEUE_URL": f"{emulator.url}/000000000000/unlost-test-dead-letters",
        "UNLOST_KEYS": "off",
        "POWERTOOLS_SERVICE_NAME": "unlost-test",
        "POWERTOOLS_METRICS_NAMESPACE": "Unlost",
    }


@contextmanager
def running(handler: str, task_root: Path, environment: dict[str, str]) -> Iterator[RuntimeApi]:
    """AWS's runtime client with this handler. `-S`: this machine's packages are out of reach."""
    with runtime_api() as api:
        client = subprocess.Popen(
            [interpreter(), "-S", "-m", "awslambdaric", handler],
            cwd=task_root,
            env={**environment, "AWS_LAMBDA_RUNTIME_API": api.address},
            stdout=subprocess.DEVNULL,
        )
        try:
            yield api
        finally:
            client.kill()
            client.wait()


def http_event(method: str, path: str) -> dict[str, Any]:
    """What API Gateway sends for a call (payload format 2.0)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "one.execute-api.eu-central-1.amazonaws.com"},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1"},
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }


def test_an_event_of_api_gateway_is_answered(task_root: Path, environment: dict[str, str]) -> None:
    with running("unlost.aws.api.handler", task_root, environment) as api:
        api.events.put(http_event("GET", "/livez"))
        how, answer = api.answers.get(timeout=60)
        assert how == "response"
        assert isinstance(answer, dict)
        assert answer["statusCode"] == 200


def test_the_api_describes_itself(task_root: Path, environment: dict[str, str]) -> None:
    with running("unlost.aws.api.handler", task_root, environment) as api:
        for path in ("/openapi.json", "/docs"):
            api.events.put(http_event("GET", path))
            _, answer = api.answers.get(timeout=60)
            assert isinstance(answer, dict)
            assert (path, answer["statusCode"]) == (path, 200)


def test_a_batch_that_holds_nothing_fails_nothing(
    task_root: Path, environment: dict[str, str]
) -> None:
    with running("unlost.aws.process.handler", task_root, environment) as api:
        api.events.put({"Records": []})
        assert api.answers.get(timeout=60) == ("response", {"batchItemFailures": []})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_imports_with_the_package_and_the_runtime_alone(
    function: str, task_root: Path, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [interpreter(), "-S", "-c", f"from unlost.aws.{function} import handler"],
        cwd=task_root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_it_holds_what_functions_import_and_nothing_else(package: Path) -> None:
    names = zipfile.ZipFile(package).namelist()
    parts = {part for name in names for part in name.split("/")}
    assert not parts & {"tests", "node_modules", "__pycache__", ".git", "cli", "supervisor", "apsw"}
    ours = {name.split("/")[1] for name in names if name.startswith("unlost/")}
    assert not ours & {"__main__.py", "moving", "prove"}
    homes = {name.split("/")[2] for name in names if name.startswith("unlost/ledger/")}
    assert not homes & {"memory", "postgres", "sqlite"}
    assert not {name.split("/")[0] for name in names} & {"boto3", "botocore", "uvicorn", "rich"}
    assert {"unlost/aws/api.py", "unlost/__init__.py", "msgspec/__init__.py"} <= set(names)


def test_its_size_is_told_and_small(package: Path) -> None:
    said = build("--for", "local")
    size = package.stat().st_size
    assert f"{size:,} bytes" in said
    assert size < MOST_BYTES


def test_the_same_inputs_make_the_same_bytes(package: Path) -> None:
    before = package.read_bytes()
    build("--for", "local")
    assert package.read_bytes() == before


def test_ones_own_handlers_stand_at_its_top(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    source.mkdir()
    (source / "app.py").write_text("handlers = None\n")
    (source / "tests").mkdir()
    (source / "tests" / "test_app.py").write_text("")
    build("--for", "local", "--source", str(source))
    names = zipfile.ZipFile(DEPLOY / ".build" / "local" / "unlost.zip").namelist()
    assert "app.py" in names
    assert "tests/test_app.py" not in names


def test_a_source_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    build_it = str(DEPLOY / "build.py")
    command = [sys.executable, build_it, "--source", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("nowhere is no folder")
