"""The fixture `emulator`, for every test that needs an AWS; what it wrote is shown on a failure."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.aws.emulator import Emulator

_BYTES_SHOWN = 20_000
_RUNNING = pytest.StashKey[list[Emulator]]()


@pytest.fixture(scope="session")
def emulator(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Emulator]:
    """An AWS on 127.0.0.1, started once for each test process (so once a worker under xdist)."""
    with shown(Emulator(tmp_path_factory.mktemp("emulator")), pytestconfig) as running:
        yield running


@contextmanager
def shown(emulator: Emulator, config: pytest.Config) -> Iterator[Emulator]:
    """Stops the emulator at the end; what it wrote stands beside each failure until then."""
    running = config.stash.setdefault(_RUNNING, [])
    with emulator:
        running.append(emulator)
        yield emulator
    running.remove(emulator)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for emulator in item.config.stash.get(_RUNNING, []):
            report.sections.append((emulator.output.parent.name, _tail(emulator.output)))
    return report


def _tail(path: Path) -> str:
    return path.read_bytes()[-_BYTES_SHOWN:].decode(errors="replace")
