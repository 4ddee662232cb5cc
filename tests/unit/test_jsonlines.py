"""Many JSON texts that are read at once: each is read as it is alone, or none of them is."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.test_jsontext_properties import Speller, damaged, fragments, thorough, values
from unlost import jsonlines, jsontext


def spelled(value: object, random: Random) -> bytes:
    speller = Speller(random)
    return speller.spaced(speller.tokens(value)).replace(b"\n", b" ")


texts = st.builds(spelled, values, st.randoms(use_true_random=False))
anything = st.binary(max_size=40) | fragments | damaged | texts


def read_as_alone(bodies: list[bytes]) -> bool:
    """Whether they are read at once; then as `jsontext` reads each of them."""
    found = jsonlines.parse_written(bodies)
    if found is None:
        return False
    trees = [jsontext.parse(body) for body in bodies]
    digests = [jsontext.digest(tree, {}) for tree in trees]
    assert [jsontext.digest(tree, {}) for tree in found.trees] == digests
    assert jsonlines.written(found.plain) == [jsontext.compact(body) for body in bodies]
    assert jsonlines.canonical(found.trees) == jsonlines.canonical(trees)
    return True


@given(st.lists(texts, min_size=1, max_size=4))
@thorough
def test_texts_are_read_together_as_each_is_alone(bodies: list[bytes]) -> None:
    read_as_alone(bodies)


@given(st.lists(anything, min_size=1, max_size=4))
@example([b'{"a":[{}', b"{}]}", b"{},{}"])
@example([b'{"a":', b"1}", b"2\n3"])
@example([b'{"a":1}', b"", b"1\n2"])
@example([b"1 2", b"\n3"])
@example([b"", b"1"])
@example([b"[1", b"2]", b"3],[4"])
@example([b'"a', b'b"', b"1 2"])
@thorough
def test_nothing_is_read_together_of_which_one_is_refused_alone(bodies: list[bytes]) -> None:
    read_as_alone(bodies)


READ = {
    "as compact as can be": b'{"b":1,"a":[true,null,"\xc3\xa9"]}',
    "as Python writes it": json.dumps({"b": 1, "a": [1, 2, {"c": ", : "}]}).encode(),
    "with decimal fractions": b'{"price": 19.99, "tax": 0.5, "off": -1.25}',
    "with an escape that stays": rb'{"a": "\"\n"}',
    "as deep as may be": b"[" * 128 + b"]" * 128,
}
NOT_READ = {
    "a member twice": b'{"a": 1, "a": 2}',
    "a member twice, deep inside": b'{"a": [{"b": {"c": 1, "c": 1}}]}',
    "a lone surrogate": rb'{"a": "\ud800"}',
    "NaN": b'{"a": NaN}',
    "an escape that need not be": rb'{"a": "\u0061"}',
    "a number in another spelling": b'{"a": 1.0, "b": 1e2}',
    "minus zero": b'{"a": -0}',
    "an integer of 16 digits": b'{"a": 1234567890123456}',
    "a fraction that is rounded": b'{"a": 0.12345678901234567890}',
    "too deep": b"[" * 129 + b"]" * 129,
    "much too deep": b"[" * 100_000 + b"]" * 100_000,
    "two values": b"{} {}",
    "no value": b" ",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no UTF-8": b'{"a": "\xff"}',
    "a line break": b'{"a":\n1}',
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
@pytest.mark.parametrize("beside", [b"{}", b'{ "z" : 0.5 }'])
def test_most_texts_are_read_together(text: bytes, beside: bytes) -> None:
    assert read_as_alone([text])
    assert read_as_alone([beside, text, beside])


@pytest.mark.parametrize("text", NOT_READ.values(), ids=NOT_READ)
def test_one_that_cannot_be_told_leaves_all_to_be_read_alone(text: bytes) -> None:
    assert not read_as_alone([text])
    assert not read_as_alone([b'{"a":1}', text, b'{"b": 2}'])
