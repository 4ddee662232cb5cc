"""JSON texts are equal by value: exactly, at any size, and for ever."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from itertools import combinations

import pytest

from unlost import jsontext

LONG = "7" * 262_144


def same(left: str, right: str) -> bool:
    digests = [jsontext.digest(jsontext.parse(text.encode()), {}) for text in (left, right)]
    return digests[0] == digests[1]


EQUAL = [
    ["1", "1.0", "10e-1", "1E0", "1e+0", "0.1e1", "1.000000000000000000000", "1000E-3", "1e-0"],
    ["0", "-0", "0.0", "-0.0e7", "0e999999999999", "0E-99999", "0e" + "9" * 5000],
    ["1000000000000000", "1e15", "1E+15", "10000000000000000e-1", "0.001e18", "1e0000015"],
    ["999999999999999", "999999999999999.0", "9.99999999999999e14"],
    ["-12.5", "-125e-1", "-0.125E2", "-12.50", "-1250000000000000000000e-20"],
    ["1e999999999999", "10e999999999998", "0.01e1000000000001", "1e0999999999999"],
    ["1e1000000000000000000", "10e999999999999999999", "0.1e1000000000000000001"],
    [f"1e{LONG}", f"0.1e{LONG[:-1]}8", f"10E+{LONG[:-1]}6", f"1e000{LONG}"],
    ["1e" + "9" * 5000, f"10e{'9' * 4999}8", f"0.1e1{'0' * 5000}"],
    [f"1e-{LONG}", f"0.1e-{LONG[:-1]}6", f"10e-{LONG[:-1]}8"],
    [LONG, LONG + ".0", f"{LONG}00e-2", "0." + LONG + "e262144"],
    ["1e5", f"1e{'0' * 5000}5", f"0.{'0' * 5000}1e5006", f"1{'0' * 5000}e-4995"],
    ['"a"', r'"\u0061"'],
    ['"/"', r'"\/"', r'"\u002F"', r'"\u002f"'],
    ['"😀"', r'"\ud83d\ude00"', r'"\uD83D\uDE00"'],
    [r'"\n"', r'"\u000a"'],
    ['{"a":1,"b":2}', '{ "b" : 2.0,\n"a":1}', r'{"\u0062":2,"\u0061":10e-1}'],
    ["[]", " [ ]\r\n"],
]

# fmt: off
DIFFERENT = [
    "0", "1", "-1", "1e-1", "-1e-1", "10", "0.5", "9007199254740992", "9007199254740993", "1e400",
    "1e401", "1e-400", "-1e400", "999999999999999", "1000000000000000", "999999999999999.5",
    "0.10000000000000001", "1e999999999999", "1e999999999998", "1e-999999999999", "true", "false",
    "null", '""', '"0"', '"1"', '"1e400"', '"true"', '"null"', '"a"', '"A"', '"é"', '"e\u0301"',
    '"15e-1"', "1.5", '["15e-1"]', "[15,-1]", "{}", "[]", "[[]]", "[{}]", "[null]", "[0]",
    "[1,2]", "[2,1]", "[[1],2]", "[[1,2]]", '"[]"', '"{}"', '{"":0}', '{"a":1}', '{"a":"1"}',
    '{"a":null}', '{"b":1}', '{"a":1,"b":1}', '{"A":1}', '{"a":{"b":1}}', '{"a":[1]}', '"nan"',
    '[null,"1"]',
]
# fmt: on


@pytest.mark.parametrize("spellings", EQUAL, ids=lambda spellings: spellings[0][:20])
def test_spellings_of_one_value_are_equal(spellings: list[str]) -> None:
    for spelling in spellings:
        assert same(spellings[0], spelling), spelling[:40]
        assert same(f'{{"a":[{spellings[0]}]}}', f'{{"a":[{spelling}]}}'), spelling[:40]


def test_different_values_have_different_digests() -> None:
    firsts = [spellings[0] for spellings in EQUAL if len(spellings[0]) > 1000]
    for left, right in combinations([*DIFFERENT, *firsts, f"{LONG}1", f"1{LONG}"], 2):
        assert not same(left, right), (left[:40], right[:40])


def test_payload_and_options_are_kept_apart() -> None:
    one, two = {"a": 1}, {"b": 2}
    assert jsontext.digest(one, two) != jsontext.digest(two, one)
    assert jsontext.digest([one, two], {}) != jsontext.digest(one, two)


CANONICAL = [
    ('{"b":1.50,"a":[true,null],"":-0.0}', '{"":0,"a":[true,null],"b":15e-1}'),
    (
        '{"\U0001f600":1,"\uffff":2,"é":3,"z":4,"Z":5,"aa":6,"a":7}',
        '{"Z":5,"a":7,"aa":6,"z":4,"é":3,"\uffff":2,"\U0001f600":1}',
    ),
    ("[999999999999999,1000000000000000,-1e15,12e3]", "[999999999999999,1e15,-1e15,12000]"),
    ("[0.1,-123.456e-7,1e400,9007199254740993]", "[1e-1,-123456e-10,1e400,9007199254740993e0]"),
    ("[1e999999999999,10e-1000000000000000001]", "[1e999999999999,1e-1000000000000000000]"),
    (r'"\u0000\u001F\b\f\r\t\n\"\\\/"', r'"\u0000\u001f\b\f\r\t\n\"\\/"'),
    (r'"\u00e9\u007f\u2028"', '"é\x7f\u2028"'),
]

GOLDEN = [
    ("{}", "0a5b75ee2f4bde3bbb57275e700ff1d7f7a40198c82d4a59cea613ecb365a18d"),
    (
        '{"name":"Jos\\u00e9","total":129.95,"lines":[{"qty":2},{"qty":1e0}],"paid":true}',
        "78e3f8d43e1cd25af135b3cfbcd2a4bc763d8440b28fc148a8647ea8405b3ee1",
    ),
    (
        "[9007199254740993,-1e-400,100000000000000000000]",
        "70340d0baabcda15ef33ca4214302987e6f3c39003c57246faaf0a408a34e8a9",
    ),
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_the_canonical_text_never_changes(text: str, canonical: str) -> None:
    expected = sha256(f"[{canonical},{{}}]".encode()).digest()
    assert jsontext.digest(jsontext.parse(text.encode()), {}) == expected


@pytest.mark.parametrize(("text", "digest"), GOLDEN)
def test_stored_digests_stay_valid(text: str, digest: str) -> None:
    options = jsontext.parse(b'{"type":"default","maxRetries":5.0,"timeoutSeconds":2.5}')
    assert jsontext.digest(jsontext.parse(text.encode()), options).hex() == digest


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", Decimal(5)),
        ("5.0", Decimal(5)),
        ("-2.50", Decimal("-2.5")),
        ("31536000.000000000000000000001", Decimal("31536000.000000000000000000001")),
        ("1e100", Decimal("1e100")),
        ("1e999999999", Decimal("Infinity")),
        (f"-1e{LONG}", Decimal("-Infinity")),
        (f"1e-{LONG}", Decimal("1e-100000")),
        ("-7e-999999999", Decimal("-1e-100000")),
        (f"0.{LONG}", Decimal(f"0.{LONG}")),
        ("true", None),
        ("null", None),
        ('"5"', None),
        ("[5]", None),
    ],
    ids=lambda value: str(value)[:24],
)
def test_numbers_are_read_exactly_and_absurd_ones_stay_comparable(
    text: str, value: Decimal | None
) -> None:
    number = jsontext.decimal_of(jsontext.parse(text.encode()))
    assert number == value
    assert number is None or isinstance(0 < number <= 31_536_000, bool)
