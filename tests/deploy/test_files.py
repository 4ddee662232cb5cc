"""What Heroku and Docker read, checked as far as that goes without either of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.formation import HEROKU, ROOT, formation
from unlost.access.keys import new_key
from unlost.settings import Settings, resolve

FIRST = new_key(b"1" * 32)
DOCKER = ROOT / "deploy" / "docker"
PROGRAMS = Path(sys.executable).parent

TEXT = {"type": "string"}
APP_JSON = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "maxLength": 300, "pattern": "^[a-zA-Z-_.]+$"},
        "description": TEXT,
        "keywords": {"type": "array", "items": TEXT},
        "stack": {"enum": ["heroku-22", "heroku-24", "heroku-26"]},
        "buildpacks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"url": TEXT},
                "required": ["url"],
                "additionalProperties": False,
            },
        },
        "addons": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"plan": TEXT, "as": TEXT, "options": {"type": "object"}},
                "required": ["plan"],
                "additionalProperties": False,
            },
        },
        "formation": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {"quantity": {"type": "integer"}, "size": TEXT},
                "required": ["quantity"],
                "additionalProperties": False,
            },
        },
        "env": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"},
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "description": TEXT,
                    "value": TEXT,
                    "required": {"type": "boolean"},
                    "generator": {"enum": ["secret"]},
                },
                "additionalProperties": False,
            },
        },
    },
}
"""What Heroku documents of app.json, as far as it is used here."""


def app_json() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((HEROKU / "app.json").read_text())
    return read


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return read


def given_by(service: dict[str, Any]) -> Settings:
    """The settings of a service of compose.yaml, where nobody sets a variable."""
    plain = {
        name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value))
        for name, value in service["environment"].items()
    }
    return resolve({}, plain)


def test_app_json_says_only_what_heroku_knows_and_runs_what_the_procfile_has() -> None:
    jsonschema.validate(app_json(), APP_JSON)
    lines = (HEROKU / "Procfile").read_text().splitlines()
    names = {line.partition(":")[0] for line in lines}
    assert names == {*app_json()["formation"], "release"}


def test_what_app_json_sets_are_settings() -> None:
    values = {name: one.get("value", "") for name, one in app_json()["env"].items()}
    known = {f"UNLOST_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert values.keys() - {"PGSSLMODE", "UNLOST_FIRST_KEY"} <= known
    assert resolve({}, values).workers == 1


def test_compose_makes_the_first_key_as_often_as_it_is_started(
    tmp_path: Path, database_url: str
) -> None:
    service = compose()["services"]["key"]
    assert service["secrets"] == ["first_key"]
    assert compose()["secrets"]["first_key"] == {"environment": "UNLOST_FIRST_KEY"}
    (tmp_path / "first_key").write_text(FIRST)
    command = [word.replace("/run/secrets", str(tmp_path)) for word in service["command"]]
    for _ in range(2):
        made = subprocess.run(
            [PROGRAMS / "unlost", *command],
            env={"DATABASE_URL": database_url}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        assert FIRST not in made.stdout + made.stderr
    with formation(tmp_path, "web", DATABASE_URL=database_url) as running:
        assert running.http.get("/tasks").status_code == 401
        key = {"Authorization": f"Bearer {FIRST}"}
        assert running.http.get("/tasks", headers=key).status_code == 200


def test_heroku_installs_the_wheel_of_this_version_with_the_driver() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    wanted = (HEROKU / "requirements.txt").read_text().splitlines()
    assert f"./vendor/unlost-{version}-py3-none-any.whl[postgres]" in wanted


def test_the_dockerfile_has_no_findings() -> None:
    checked = subprocess.run(
        [PROGRAMS / "hadolint", DOCKER / "Dockerfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_image_has_all_that_its_build_copies() -> None:
    allowed = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    copied = re.findall(
        r"^COPY (?!--from)(.*) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE
    )
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in allowed


def test_compose_follows_its_specification() -> None:
    command = [str(PROGRAMS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [*command, str(DOCKER / "compose.yaml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(("role", "replicas"), [("api", 2), ("worker", 3)])
def test_compose_gives_each_role_longer_to_end_than_its_grace(role: str, replicas: int) -> None:
    service = compose()["services"][role]
    assert service["command"] == [role]
    assert service["deploy"]["replicas"] == replicas
    assert int(service["stop_grace_period"].removesuffix("s")) > given_by(service).grace
    assert given_by(service).ledger.startswith("postgresql://")


def test_compose_and_heroku_keep_within_the_connections_of_their_database() -> None:
    services = compose()["services"]
    needed = sum(
        services[role]["deploy"]["replicas"] * most_connections(role, given_by(services[role]))
        for role in ("api", "worker")
    )
    assert needed <= 97  # a PostgreSQL server's 100, of which it keeps 3 for superusers
    heroku = resolve({}, {"UNLOST_WORKERS": app_json()["env"]["UNLOST_WORKERS"]["value"]})
    assert most_connections("api", heroku) + most_connections("worker", heroku) <= 40


def most_connections(role: str, settings: Settings) -> int:
    """Five for each process: a supervisor and its API, or its workers and as many lone ones."""
    return 5 * (2 if role == "api" else 1 + 2 * settings.workers)


def test_the_health_check_tells_an_api_that_answers_from_one_that_does_not(
    tmp_path: Path, database_url: str
) -> None:
    found = re.search(r"^    CMD (\[.*\])$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    _, *rest = json.loads(found[1])
    with formation(tmp_path, "web", DATABASE_URL=database_url, UNLOST_HOST="127.0.0.1") as running:
        check, port = [sys.executable, *rest], {"PORT": str(running.port)}
        assert subprocess.run(check, env=port, check=False).returncode == 0
    refused = subprocess.run(check, env=port, capture_output=True, check=False)
    assert refused.returncode == 1
