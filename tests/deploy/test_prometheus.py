"""The alert rules fire when they should, the dashboard's queries are queries."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from unlost.api.openapi.operation import Operation
from unlost.api.openapi.operations import dead_letters, pages, status, tasks, types, workers

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "unlost.rules.yml"
TESTS = PROMETHEUS / "unlost.rules.test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "unlost.json"

VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$type": ".*"}
"""What Grafana puts in place of what a query leaves open."""


def promtool(*arguments: str | Path) -> None:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = shutil.which("promtool", path=places)
    assert program is not None, "make test brings promtool"
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def queries() -> list[str]:
    return [target["expr"] for panel in board()["panels"] for target in panel["targets"]]


def test_the_rules_and_the_configuration_are_valid(tmp_path: Path) -> None:
    promtool("check", "rules", RULES)
    for file in (RULES, PROMETHEUS / "prometheus.yml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "unlost.key").write_text("unlost_")
    promtool("check", "config", tmp_path / "prometheus.yml")


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", TESTS)


@pytest.mark.parametrize("name", [rule["alert"] for rule in alerts()])
def test_each_alert_is_tested_both_ways(name: str) -> None:
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"]
             for case in test["alert_rule_test"] if case["alertname"] == name]  # fmt: skip
    assert {bool(case.get("exp_alerts")) for case in cases} == {True, False}


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_the_operators_guide_has_each_alert() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    told = re.findall(r"(?m)^\| `(Unlost\w+)` \|", text)
    assert sorted(told) == sorted(rule["alert"] for rule in alerts())


def test_each_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    rules = []
    for number, query in enumerate(queries()):
        for variable, value in VARIABLES.items():
            query = query.replace(variable, value)  # noqa: PLW2901
        assert "$" not in query
        rules.append({"record": f"query{number}", "expr": query})
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_the_dashboard_uses_its_own_variables_and_no_place_twice() -> None:
    names = {variable["name"] for variable in board()["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\b", DASHBOARD.read_text()))
    assert used == names
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_names_operations_that_there_are() -> None:
    groups = (tasks, dead_letters, types, workers, status, pages)
    values = (value for group in groups for value in vars(group).values())
    known = {value.name for value in values if isinstance(value, Operation)}
    for query in queries():
        for named in re.findall(r'operation!?[=~]+"([^"]+)"', query):
            assert set(named.split("|")) <= known


def test_the_dashboard_shows_an_outbox() -> None:
    shown = " ".join(queries())
    assert "unlost_outbox_rows{" in shown
    assert "unlost_outbox_oldest_seconds{" in shown
