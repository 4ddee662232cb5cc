"""Command lines of services that are read without the library: as it would read them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlost.cli import entry, services
from unlost.settings import flag

NAMES = [*services.setting_kinds(), *services.ELSEWHERE]
VALUES = ["1", "none", "null", "None", "true", "x", "a b", "-1", "--otel", "", "=", "a=b", "@f",
          "[1]", '{"a": 1}', "~", "*", "é", "\udcff", " x", "a,b", "--", "1e3", '"q"']  # fmt: skip

flags = st.sampled_from([flag(name) for name in NAMES])
values = st.sampled_from(VALUES) | st.text(max_size=5)
words = st.one_of(
    st.tuples(flags),
    st.tuples(flags, values),
    st.builds(lambda name, value: (f"{name}={value}",), flags, values),
    st.tuples(values),
)
lines = st.lists(words, max_size=4).map(lambda parts: [word for part in parts for word in part])


Given = tuple[str, dict[str, Any]]


def both(line: list[str]) -> bool:
    """Whether a line is read without the library; then it must be read as by the library."""
    calls: list[Given] = []

    def run(name: str, given: dict[str, Any]) -> int:
        calls.append((name, {one: value for one, value in given.items() if value is not None}))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "run", run)
        plainly = services.plainly(line[0], line[1:])
        if plainly is None:
            return False
        plainly()
        entry._called(line)
    alone, by_library = calls
    assert alone == by_library
    return True


@pytest.mark.parametrize(
    "line",
    [
        ["serve"],
        ["serve", "--port", "0", "--ledger=sqlite:///a b.db", "--handler", "app:handlers"],
        ["serve", "--handler", "none", "--auth", "none", "--webhook-secret=whsec_a= whsec_b="],
        ["serve", "--otel", "--redact", "/a", "--redact=/b,/c", "--forwarded-allow-ips", "*"],
        ["api", "--workers", "none of these", "--allowed-host", "a", "--allowed-host", "b"],
        ["worker", "--url", "http://x/", "--api-key=@file", "--types", "a", "--types", "b,c"],
    ],
)
def test_what_is_written_out_needs_no_library(line: list[str]) -> None:
    assert both(line)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--port", "0", "more"],
        ["--port"],
        ["--port", "1", "--port", "2"],
        ["--seed", "-5"],
        ["--otel=true"],
        ["--otel", "--otel"],
        ["--no-otel"],
        ["--prot", "1"],
        ["--url", "http://x/"],
        ["--handler", ""],
        ["--redact", '["/a"]'],
    ],
)
def test_all_else_is_the_librarys(words: list[str]) -> None:
    assert services.plainly("serve", words) is None


@settings(max_examples=150, deadline=None)
@given(line=lines)
def test_what_needs_no_library_is_read_as_by_it(line: list[str]) -> None:
    both(["worker", *line])
