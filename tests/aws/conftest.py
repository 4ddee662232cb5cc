"""What the tests of the AWS home share: the packaged template, and the deployed stack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.aws.emulator import Emulator
from tests.aws.osls import run_osls
from tests.aws.plugin import shown
from tests.aws.stack import Stack, deploy

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
