"""The API is called with what its own document allows and forbids, made up from a fixed seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from tests.api.fuzz_rules import hasten, passed_over, schema
from tests.api.fuzzed import Fuzzed, fuzzed

EXAMPLES = 60
SCHEMA = schema()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_is_answered_as_documented(
    service: Fuzzed, case: schemathesis.Case[Any]
) -> None:
    hasten(case)
    case.call_and_validate(base_url=service.url, excluded_checks=passed_over(case))
