"""What holds of every JSON value in every spelling, and of bytes that are none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlost import jsonbatch, jsontext
from unlost.jsonbatch import NotBatch, TooManyTasks
from unlost.jsontext import NotJson

thorough = settings(derandomize=True, deadline=None, max_examples=200)


@dataclass(frozen=True)
class Number:
    """`significand` × 10^`power`, with no zero at the significand's end."""

    significand: int
    power: int


def number(significand: int, power: int) -> Number:
    if significand == 0:
        return Number(0, 0)
    while significand % 10 == 0:
        significand, power = significand // 10, power + 1
    return Number(significand, power)


numbers = st.builds(
    number,
    st.integers(-20, 20) | st.integers(-(10**17), 10**17) | st.integers(),
    st.integers(-3, 3) | st.integers(-20, 20) | st.integers(-(10**25), 10**25),
)
strings = st.text(st.sampled_from('aé/"\\\n\x00 {[,:😀') | st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | numbers | strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=12,
)


class Speller:
    """Spells a value as JSON tokens in one of its many ways."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def tokens(self, value: object) -> list[str]:
        match value:
            case Number():
                return [self.number(value)]
            case str():
                return ['"' + "".join(map(self.character, value)) + '"']
            case list():
                return ["[", *self.separated([self.tokens(item) for item in value]), "]"]
            case dict():
                members = list(value.items())
                self.random.shuffle(members)
                spelled = [[*self.tokens(k), ":", *self.tokens(v)] for k, v in members]
                return ["{", *self.separated(spelled), "}"]
            case _:
                return [json.dumps(value)]

    @staticmethod
    def separated(items: list[list[str]]) -> list[str]:
        return [token for item in items for token in (",", *item)][1:]

    def number(self, value: Number) -> str:
        zero = value.significand == 0
        sign = "-" if value.significand < 0 or (zero and self.random.random() < 0.5) else ""
        trailing, fraction = self.random.randrange(4), self.random.randrange(4)
        digits = str(abs(value.significand) * 10**trailing)
        digits = digits.rjust(fraction + 1, "0")
        whole, rest = digits[: len(digits) - fraction], digits[len(digits) - fraction :]
        power = self.random.randrange(-9, 9) if zero else value.power - trailing + fraction
        spelled = sign + whole + ("." + rest if rest else "")
        return spelled if power == 0 and self.random.random() < 0.8 else spelled + self.power(power)

    def power(self, power: int) -> str:
        sign = "-" if power < 0 else self.random.choice(["", "+"])
        zeros = "0" * self.random.randrange(3)
        return f"{self.random.choice('eE')}{sign}{zeros}{abs(power)}"

    def character(self, character: str) -> str:
        code = character.encode("utf-16-be").hex()
        escaped = "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        upper = "\\u" + escaped[2:].upper().replace("\\U", "\\u")
        slash = ["\\/"] if character == "/" else []
        return self.random.choice([plain, plain, escaped, upper, *slash])

    def spaced(self, tokens: list[str]) -> bytes:
        def space() -> str:
            return "".join(self.random.choices(" \t\r\n", k=self.random.randrange(3)))

        return (space() + "".join(token + space() for token in tokens)).encode()


def digest(value: object, random: Random) -> bytes:
    speller = Speller(random)
    return jsontext.digest(jsontext.parse(speller.spaced(speller.tokens(value))), {})


def typed(value: object) -> object:
    """Tell True from 1 and Number from all else, as JSON does and `==` does not."""
    match value:
        case list():
            return [typed(item) for item in value]
        case dict():
            return {name: typed(item) for name, item in value.items()}
        case _:
            return (type(value), value)


@given(values, st.randoms(use_true_random=False))
@thorough
def test_every_spelling_of_a_value_has_one_digest(value: object, random: Random) -> None:
    assert digest(value, random) == digest(value, random)


@given(values, values, st.randoms(use_true_random=False))
@thorough
def test_digests_are_equal_only_of_equal_values(
    left: object, right: object, random: Random
) -> None:
    assert (digest(left, random) == digest(right, random)) == (typed(left) == typed(right))


@given(numbers, st.integers(-1, 1), st.integers(-1, 1), st.randoms(use_true_random=False))
@thorough
def test_neighbouring_numbers_are_told_apart(
    value: Number, by: int, power: int, random: Random
) -> None:
    other = number(value.significand + by, value.power + power)
    assert (digest(value, random) == digest(other, random)) == (value == other)


@given(values, st.randoms(use_true_random=False))
@thorough
def test_compacting_only_removes_white_space_between_tokens(value: object, random: Random) -> None:
    speller = Speller(random)
    tokens = speller.tokens(value)
    compact = jsontext.compact(speller.spaced(tokens))
    assert compact == "".join(tokens)
    assert not re.search(r"\s", re.sub(r'"(?:[^"\\]|\\.)*"', "", compact))
    assert jsontext.compact(compact.encode()) == compact


@given(st.lists(values, max_size=6), st.randoms(use_true_random=False))
@thorough
def test_a_batch_splits_into_exactly_its_elements(items: list[object], random: Random) -> None:
    speller = Speller(random)
    spelled = [speller.tokens(item) for item in items]
    body = speller.spaced(["{", '"tasks"', ":", "[", *speller.separated(spelled), "]", "}"])
    for limit in (6, 1000):
        elements = jsonbatch.split_tasks(body, limit=limit)
        assert [jsontext.compact(bytes(raw)) for raw in elements] == list(map("".join, spelled))


fragments = st.lists(
    st.sampled_from(
        ['"a"', '"b":', "true", "null", "NaN", "-Infinity", '"tasks":', *'{}[],:" \n\\1-.eE+0aé']
    )
    | st.sampled_from(
        [r"\u0061", r"\ud800", r"\udc00", "1e5", "9" * 5000, "\ufeff", "\x00", "//", "'"]
    ),
    max_size=14,
).map(lambda parts: "".join(parts).encode())


def pieces(value: object, random: Random, at: float, junk: bytes) -> bytes:
    speller = Speller(random)
    body = speller.spaced(speller.tokens(value))
    cut = int(at * len(body))
    return body[:cut] + junk + body[cut + random.randrange(3) :]


damaged = st.builds(
    pieces, values, st.randoms(use_true_random=False), st.floats(0, 1), st.binary(max_size=2)
)


@given(st.binary(max_size=40) | fragments | damaged)
@settings(thorough, max_examples=800)
def test_bytes_are_refused_as_not_json_or_are_json_to_others_too(body: bytes) -> None:
    try:
        tree = jsontext.parse(body)
    except NotJson:
        return
    read = json.loads(body, parse_int=float)
    assert json.loads(jsontext.compact(body), parse_int=float) == read
    jsontext.digest(tree, {})
    jsontext.decode(body.decode())
    assert jsontext.depth(body) <= jsontext.MAX_DEPTH


@given(st.binary(max_size=30) | fragments, st.booleans())
@settings(thorough, max_examples=300)
def test_batches_are_refused_in_three_ways_only(part: bytes, wrapped: bool) -> None:
    body = b'{"tasks":[' + part + b"]}" if wrapped else part
    try:
        elements = jsonbatch.split_tasks(body, limit=5)
    except (NotJson, NotBatch, TooManyTasks):
        return
    try:
        [jsontext.parse(bytes(raw)) for raw in elements]
    except NotJson:
        return
    assert json.loads(body, parse_int=float).keys() == {"tasks"}


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=12,
)


@given(plain_values)
@thorough
def test_results_come_back_as_they_were_and_are_strict_json(value: object) -> None:
    text = jsontext.encode(value)
    assert repr(jsontext.decode(text)) == repr(value)
    jsontext.parse(text.encode())
    assert jsontext.compact(text.encode()) == text
    as_others_write = json.dumps(value).encode()
    trees = jsontext.parse(text.encode()), jsontext.parse(as_others_write)
    assert jsontext.digest(trees[0], {}) == jsontext.digest(trees[1], {})


@given(values, st.randoms(use_true_random=False))
@thorough
def test_handlers_get_what_the_standard_reader_gives(value: object, random: Random) -> None:
    speller = Speller(random)
    text = speller.spaced(speller.tokens(value)).decode()
    assert repr(jsontext.decode(text)) == repr(json.loads(text))


def same_when_written(body: bytes) -> bool:
    """Whether a text is read by way of writing it again; then as it is read otherwise."""
    found = jsontext.parse_written(body)
    if found is None:
        return False
    tree, plain = found
    assert jsontext.digest(tree, {}) == jsontext.digest(jsontext.parse(body), {})
    assert jsontext.written(plain).decode() == jsontext.compact(body)
    return True


@given(values, st.randoms(use_true_random=False))
@thorough
def test_what_is_read_by_writing_it_again_is_read_as_otherwise(
    value: object, random: Random
) -> None:
    speller = Speller(random)
    same_when_written(speller.spaced(speller.tokens(value)))


@given(st.binary(max_size=40) | fragments | damaged)
@settings(thorough, max_examples=800)
def test_nothing_is_read_by_writing_it_again_that_is_refused_otherwise(body: bytes) -> None:
    same_when_written(body)


escapes = st.lists(
    st.sampled_from(
        ["\\", "\\\\", "u", "\\u", r"\ud800", r"\uDFFF", r"\u0061", "d", "d8", "00", '"', "é"]
    ),
    max_size=12,
).map(lambda parts: "".join(parts).encode())


@given(escapes, st.integers(8, 20))
@settings(thorough, max_examples=500)
def test_escapes_are_found_in_pieces_as_in_the_whole(text: bytes, piece: int) -> None:
    in_pairs = text.replace(rb"\\", rb"\/")
    whole = re.sub(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", rb"\\u0020", in_pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonbatch, "_PIECE", piece)
        found = bytes(jsonbatch.without_surrogates(text))
    assert found.replace(rb"\\", rb"\/") == whole
