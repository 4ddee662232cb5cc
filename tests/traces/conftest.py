from __future__ import annotations

import pytest

from tests.traces.told import Told


@pytest.fixture
def told() -> Told:
    return Told()
