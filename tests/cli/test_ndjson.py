"""What `submit` makes of the lines of a file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from unlost.cli.client.ndjson import (
    CHUNK,
    LONGEST_LINE,
    Item,
    Line,
    Pause,
    batches,
    item,
    lines,
    option_members,
)
from unlost.cli.client.repeats import Repeats
from unlost.jsontext import NotJson


def busy() -> bool:
    return False


def read(data: bytes) -> list[Line]:
    return [line for line in lines(io.BytesIO(data), busy) if isinstance(line, Line)]


def items(*texts: bytes, options: bytes = b"") -> list[Item]:
    seen = Repeats()
    return [item(number, text, 0, options, seen) for number, text in enumerate(texts, 1)]


def task_ids(*texts: bytes) -> list[str | None]:
    return [found.task_id for found in items(*texts)]


def test_blank_lines_are_passed_over_and_still_counted() -> None:
    assert [(line.number, line.text) for line in read(b"a\n\n \t\r\nb\n")] == [(1, b"a"), (4, b"b")]


def test_the_last_line_needs_no_line_feed() -> None:
    assert [line.text for line in read(b"a\nb")] == [b"a", b"b"]


def test_a_line_may_span_many_reads() -> None:
    text = b"x" * (2 * CHUNK + 7)
    assert [line.text for line in read(b"a\n" + text + b"\nb\n")] == [b"a", text, b"b"]


def test_a_line_that_is_too_long_is_named_but_not_kept() -> None:
    data = b"a\n" + b"x" * (LONGEST_LINE + 1) + b"\nb\n" + b"y" * (3 * LONGEST_LINE)
    assert [(line.number, line.text) for line in read(data)] == [
        (1, b"a"),
        (2, None),
        (3, b"b"),
        (4, None),
    ]


def test_a_source_that_has_nothing_more_just_now_is_marked() -> None:
    found = list(lines(io.BytesIO(b"a\n"), lambda: True))
    assert isinstance(found[-1], Pause)


def test_an_object_with_a_task_id_goes_as_it_is() -> None:
    text = b' {"payload": {}, "taskId": "a"}\r'
    assert items(text)[0].body == text


def test_a_task_id_within_a_payload_makes_no_task() -> None:
    assert task_ids(b'{"order": {"taskId": "a"}}') != [None]


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b'{"a": 1',
        b"nonsense",
        b'{"a": NaN}',
        b"\xff",
        b'{"a": 1, "a": 2}',
        b'{"a": "\\ud800"}',
        b"[" * 129 + b"]" * 129,
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(NotJson):
        items(text)


@pytest.mark.parametrize("text", [b"5", b"[]", b"null", b'"taskId"'])
def test_what_is_no_object_is_a_bare_payload_that_the_service_may_refuse(text: bytes) -> None:
    assert json.loads(items(text)[0].body)["payload"] == json.loads(text)


def test_equal_payloads_are_distinct_tasks_counted_from_above() -> None:
    first, second, other, third = task_ids(b'{"a": 1}', b'{"a": 1}', b'{"a": 2}', b'{"a": 1}')
    assert first is not None
    assert first.endswith("-0")
    assert second == first.removesuffix("0") + "1"
    assert third == first.removesuffix("0") + "2"
    assert other is not None
    assert other.endswith("-0")


def test_the_same_file_makes_the_same_ids() -> None:
    texts = (b'{"a": 1}', b'{"a": 1}', b'{"b": [1, 2]}')
    assert task_ids(*texts) == task_ids(*texts)


def test_payloads_that_are_equal_as_json_count_as_equal() -> None:
    first, second = task_ids(b'{"a": 1, "b": "\\u00e9"}', '{ "b" : "é", "a" : 10e-1 }'.encode())
    assert first is not None
    assert second == first.removesuffix("0") + "1"


def test_integers_beyond_a_double_are_told_apart() -> None:
    first, second = task_ids(b'{"a": 9007199254740992}', b'{"a": 9007199254740993}')
    assert first != second


def test_a_bare_payload_is_sent_as_it_was_written() -> None:
    text = b'{"n": 123456789012345678901234567890.10, "z": 1, "a": 2}'
    body = items(text)[0].body
    assert body.endswith(b'"payload":' + text + b"}")


def test_options_go_with_bare_payloads_only() -> None:
    options = option_members({"type": "mail", "priority": None, "maxRetries": 0})
    bare, task = items(b'{"a": 1}', b'{"taskId": "a", "payload": {}}', options=options)
    sent = json.loads(bare.body)
    assert sent["type"] == "mail"
    assert sent["maxRetries"] == 0
    assert "priority" not in sent
    assert b"mail" not in task.body


def test_a_batch_is_bounded_in_number_and_weight() -> None:
    found = [Item(number, None, b"x" * 10, 0) for number in range(10)]
    assert [len(batch) for batch in batches(found, most=4)] == [4, 4, 2]
    assert [len(batch) for batch in batches(found, heaviest=35)] == [3, 3, 3, 1]


def test_a_heavy_item_still_goes_alone() -> None:
    found = [Item(1, None, b"x", 0), Item(2, None, b"x" * 99, 0), Item(3, None, b"x", 0)]
    assert [len(batch) for batch in batches(found, heaviest=50)] == [1, 1, 1]


def test_a_pause_sends_what_is_there() -> None:
    def found() -> Iterator[Item | Pause]:
        yield Item(1, None, b"a", 0)
        yield Pause()
        yield Pause()
        yield Item(2, None, b"b", 0)

    assert [[one.line for one in batch] for batch in batches(found())] == [[1], [2]]


def test_keys_are_kept_in_64_mib_of_memory_before_they_go_to_a_file() -> None:
    repeats = Repeats()
    assert repeats._seen.pragma("cache_size") == -64 * 1024
    assert repeats._seen.pragma("journal_mode") == "off"
