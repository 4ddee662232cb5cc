"""As many open files as connections need, as far as the system lets a process have them."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import resource, sys
from unlost.telemetry import logs
from unlost.supervisor.child.open_files import make_room

writer = logs.Writer(1)
logs.setup(writer)
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 512))
possible = make_room(int(sys.argv[1]))
writer.close()
print(possible, resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("wanted", "told", "logged"),
    [
        (100, "100 (300, 512)", False),
        (312, "312 (512, 512)", False),
        (2_000, "312 (512, 512)", True),
    ],
)
def test_the_soft_limit_is_raised_and_what_is_not_enough_is_logged(
    wanted: int, told: str, logged: bool
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", ASK, str(wanted)], capture_output=True, text=True, check=True
    ).stdout
    assert told in said
    assert ("api.few_open_files" in said) is logged
