"""What the tests of the AWS home share: the packaged template, the deployed stack, a table."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.aws.emulator import Emulator
from tests.aws.osls import run_osls
from tests.aws.place import Place, place_in
from tests.aws.plugin import shown
from tests.aws.stack import Stack, deploy
from tests.conformance.stage import Clock, must_add_up

Template = dict[str, Any]
Packaged = Callable[..., Template]


@pytest.fixture(scope="session")
def packaged(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    """`packaged(stage, **params)`: the template of a stage, made once for each question."""
    made: dict[str, Template] = {}

    def package(stage: str, **params: object) -> Template:
        name = repr((stage, params))
        if name not in made:
            folder = tmp_path_factory.mktemp("packaged")
            options = ("--stage", stage, "--package", str(folder))
            run_osls(emulator.environment, "package", *options, **{"build": "local"} | params)
            text = (folder / "cloudformation-template-update-stack.json").read_text()
            made[name] = json.loads(text)
        return made[name]

    return package


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Stack]:
    """Deployed once. Calls are held to the roles' policies, as on AWS."""
    with shown(Emulator(tmp_path_factory.mktemp("stack"), auth=True), pytestconfig) as emulator:
        yield deploy(emulator)


@pytest.fixture
async def place(emulator: Emulator, clock: Clock) -> AsyncIterator[Place]:
    """A table and a queue; after each test the sums and the audit must hold."""
    async with place_in(emulator.url, clock) as place:
        yield place
        await must_add_up(place.ledger)
