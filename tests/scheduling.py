"""Which tests stay together when they are spread over processes (`pytest -n 3`).

By path and not by pytest-xdist's own group marks, which pytest-xdist 3.8 loses under pytest 9.2.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ONE_AFTER_ANOTHER = (
    "tests/aws/test_package.py",
    "tests/aws/test_stack.py",
    "tests/aws/test_stack_faults.py",
    "tests/aws/test_template.py",
)
"""They build and deploy in one folder, from which there is one stack."""

IN_ONE_BROWSER = "tests/console/"
"""They share a browser and a service, which take seconds to start."""


LONG = ("tests/soak/", "tests/conformance/test_agreement.py", "tests/api/test_fuzz_sequences.py")
"""They begin first, so that nobody waits for one of them at the end."""


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Sends each test to whoever is free, but those that share something to one process."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(IN_ONE_BROWSER):
            return IN_ONE_BROWSER
        return "deploy" if nodeid.startswith(ONE_AFTER_ANOTHER) else nodeid


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)
