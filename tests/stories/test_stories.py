"""Stories: what somebody does and what then is seen, told in `told`, on every ledger.

Those in which time has to pass are told where it is virtual: on the ledgers within the process.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest

from tests.conformance.stage import Clock, must_add_up
from tests.conftest import LEDGERS
from tests.stories import text
from tests.stories.commands import carry_out
from tests.stories.play import Play
from tests.stories.text import Part
from tests.unit.virtual import VirtualLoop

STORIES = sorted(text.TOLD.glob("*.txt"))
WITHIN_THE_PROCESS = ("memory", "sqlite")


def homes(story: Path) -> tuple[str, ...]:
    """The ledgers on which a story is told."""
    passes = any((part.command or "").startswith("later ") for part in text.read(story.read_text()))
    return WITHIN_THE_PROCESS if passes else tuple(LEDGERS)


@pytest.mark.parametrize(
    ("home", "story"),
    [
        pytest.param(home, story, id=f"{story.stem}-{home}")
        for story in STORIES
        for home in homes(story)
    ],
)
def test_what_is_seen_is_what_is_told(
    home: str, story: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    told = story.read_text()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        seen = text.written(runner.run(play(home, list(text.read(told)), request, tmp_path)))
    if home == "memory" and request.config.getoption("--rewrite", default=False):
        story.write_text(seen)
    elif seen != told:
        pytest.fail(text.difference(told, seen, story.name), pytrace=False)


async def play(
    home: str, parts: list[Part], request: pytest.FixtureRequest, folder: Path
) -> list[Part]:
    """The story as it is seen on this ledger, whose sums and audit must hold in the end."""
    loop = cast(VirtualLoop, asyncio.get_running_loop())
    opened = AsyncExitStack()
    with loop.still():
        opener = await opened.enter_async_context(
            LEDGERS[home](request, folder, cast(Clock, loop.clock))
        )
        ledger = await opener()
    try:
        play = Play(ledger, loop)
        told = [await seen(play, part) for part in parts]
        with loop.still():
            await must_add_up(ledger)
    finally:
        with loop.still():
            await opened.aclose()
            await loop.shutdown_default_executor()
    return told


async def seen(play: Play, part: Part) -> Part:
    """A part with what is seen of it now."""
    if part.command is None:
        return part
    try:
        return Part(part.prose, part.command, tuple(await carry_out(play, part.command)))
    except Exception as error:
        error.add_note(f"the command was: {part.command}")
        raise
