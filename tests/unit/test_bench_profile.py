"""The profile of a submit meets every stage of it, in order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from bench.profile.__main__ import WARM, profile
from bench.profile.served import STAGES


async def test_each_submit_has_a_note_of_every_stage_in_order(tmp_path: Path) -> None:
    found = await profile(tmp_path, 2, WARM)
    assert len(found.notes) > WARM // 2
    for notes in found.notes:
        times = [notes[name] for name in ("came", *STAGES)]
        assert all(before <= after for before, after in pairwise(times)), notes
    assert found.seen.refused == 0
