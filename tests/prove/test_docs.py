"""docs/prove.md: its example is run as it stands, and its tables are right."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from tests.prove.proving import command
from unlost.prove.report import BLIND_SPOTS

TEXT = (Path(__file__).parents[2] / "docs" / "prove.md").read_text()
CARELESS, MENDED, PROBE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"^\$ (.*)$", TEXT, re.MULTILINE)


def test_the_example_is_found_out_and_the_mended_one_passes(tmp_path: Path) -> None:
    unlost = command(tmp_path)
    make_tasks, prove, prove_with_probe = COMMANDS
    (tmp_path / "app.py").write_text(CARELESS)
    (tmp_path / "probe.py").write_text(PROBE)
    subprocess.run(["sh", "-c", make_tasks], cwd=tmp_path, check=True)
    words = shlex.split(prove_with_probe.removeprefix("unlost "))
    result = unlost.fed(b"", *words, "--seed", "7")
    assert result.status == 1, result.err
    assert "effects happened more than once" in result.err
    assert re.search(r"^invoice-\d+ +charged +\d \(effect\) +\d", result.out, re.MULTILINE)
    assert re.search(r"^invoice-\d+ +\(probe\) +\d \(probe\) +\d", result.out, re.MULTILINE)
    (tmp_path / "app.py").write_text(MENDED)
    result = unlost.fed(b"", *shlex.split(prove.removeprefix("unlost ")))
    assert result.status == 0, result.out + result.err
    last = result.out.splitlines()[-1]
    assert last == "Every promise held, and no effect was seen more than once."
    assert last in TEXT.replace("\n", " ")


def test_the_table_that_is_shown_has_the_heads_of_the_real_one() -> None:
    assert re.search(r"TASK +EFFECT +TIMES +ATTEMPT +INJECTED +IT ENDED", TEXT)


def test_the_blind_spots_are_in_the_docs() -> None:
    for words in (
        "nor probed",
        "A loss of power",
        "a clock that is set",
        "Other homes",
        "Other timing",
    ):
        assert words in TEXT
    assert len(BLIND_SPOTS) >= 7
