"""Files of schedules: JSON keeps its texts, YAML says what JSON could, and nothing is guessed."""

from __future__ import annotations

import json
import time

import pytest

from unlost.cli.commands.schedule.bodies import BadFile, read

YAML = b"""
# every night
nightly:
  cron: 30 2 * * *
  timezone: Europe/Berlin
  type: report
  payload: {day: 2026-01-31, at: 02:30, on: on, no: no, n: null, t: true, x: 1.5, i: -3, h: 0x1f}
'5':
  every: 3600
  type: beat
  payload:
    list: [1, two, 3e2]
    text: |
      two
      lines
"""


def test_yaml_means_what_its_words_say() -> None:
    found = {name: json.loads(body) for name, body in read(YAML).items()}
    assert found == {
        "nightly": {
            "cron": "30 2 * * *",
            "timezone": "Europe/Berlin",
            "type": "report",
            "payload": {
                "day": "2026-01-31", "at": "02:30", "on": "on", "no": "no", "n": None, "t": True,
                "x": 1.5, "i": -3, "h": "0x1f",
            },
        },
        "5": {
            "every": 3600,
            "type": "beat",
            "payload": {"list": [1, "two", 300.0], "text": "two\nlines\n"},
        },
    }  # fmt: skip


def test_a_mapping_of_many_names_is_read_in_time_that_grows_with_them() -> None:
    text = "a:\n  payload:\n" + "".join(f"    n{number}: 1\n" for number in range(20_000))
    start = time.process_time()
    assert len(json.loads(read(text.encode())["a"])["payload"]) == 20_000
    assert time.process_time() - start < 12


def test_json_keeps_its_texts() -> None:
    body = (
        b'{"every": 5, "type": "x", "payload": {"n": 1.10, "big": 123456789012345678901234567890}}'
    )
    assert read(b' {"b": ' + body + b', "a": {}}\n') == {"b": body, "a": b"{}"}
    assert list(read(b'{"b": {}, "a": {}}')) == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "must be a mapping"),
        (b"- a\n- b", "must be a mapping"),
        (b"5: {every: 1}", "must be a mapping"),
        (b"a: {every: 1}\na: {every: 2}", "has a twice"),
        (b"a:\n  payload: {x: 1, x: 2}", "has x twice"),
        (b'{"a": {}, "a": {}}', "occurs twice"),
        (b'{"a": {"every": NaN}}', "is not JSON"),
        (b'{"a": {}', "is not JSON"),
        (b"a: &x {every: 1}\nb: *x", "has an alias"),
        (b"a: &x [*x]", "has an alias"),
        (b"a: !!python/object/apply:os.getcwd []", "is not YAML"),
        (b"a: {every: 1e400}", "a number that JSON has not"),
        (b"a: [", "is not YAML"),
        (b"a: \xff", "is not YAML"),
        (b"a b: {every: 1}", "is no id"),
        (b'{"": {}}', "is no id"),
        (b"a: " + b"[" * 20_000, "is not YAML"),
        (b'{"a": ' + b"[" * 20_000, "is not JSON"),
    ],
)  # fmt: skip
def test_what_says_no_schedules(text: bytes, why: str) -> None:
    with pytest.raises(BadFile, match=why):
        read(text)
