"""What a soak can be told: `pytest tests/soak -m soak --soak-seconds 3600`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak-seconds", type=float, default=600, help="how long the long soak goes on at least"
    )
    parser.addoption("--soak-seed", type=int, default=1, help="the seed of the first soak")
