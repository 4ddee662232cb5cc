"""Strict JSON, its texts kept as sent, and batches split without being read."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from unlost import jsonbatch, jsontext
from unlost.jsonbatch import NotBatch, TooManyTasks
from unlost.jsontext import NotJson

MALFORMED = {
    "nothing": b"",
    "only white space": b" \n",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "bad UTF-8 in a string": b'"\xff"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "truncated UTF-8": b'"\xe2\x82"',
    "raw surrogate": b'"\xed\xa0\x80"',
    "escaped lone high surrogate": rb'"\ud800"',
    "escaped lone low surrogate": rb'["\udc00"]',
    "surrogates the wrong way round": rb'"\udc00\ud800"',
    "high surrogate before a letter": rb'"\ud800\u0041"',
    "lone surrogate in a member name": rb'{"\uDBFF":1}',
    "NaN": b"NaN",
    "Infinity": b"[Infinity]",
    "-Infinity": b'{"a":-Infinity}',
    "same name twice": b'{"a":1,"a":1}',
    "same name twice, once escaped": rb'{"a":1,"\u0061":1}',
    "same name twice, deep down": b'[{"x":[{"b":{},"a":1,"b":{}}]}]',
    "same empty name twice": b'{"":1,"":2}',
    "control character": b'"a\x01"',
    "raw line break in a string": b'"a\nb"',
    "raw tab in a name": b'{"a\tb":1}',
    "leading zero": b"01",
    "leading zero, negative": b"-01",
    "plus": b"+1",
    "bare point": b"1.",
    "no whole part": b".5",
    "bare exponent": b"1e",
    "bare minus": b"-",
    "hexadecimal": b"0x10",
    "digit of another script": "٣".encode(),
    "digit of another script in a fraction": "1.٣".encode(),
    "underscore": b"1_000",
    "trailing comma in an array": b"[1,]",
    "trailing comma in an object": b'{"a":1,}',
    "missing comma": b"[1 2]",
    "missing colon": b'{"a" 1}',
    "name without quotes": b"{a:1}",
    "single quotes": b"{'a':1}",
    "number as a name": b"{1:1}",
    "comment": b"[1 /* one */]",
    "two values": b"{} {}",
    "unclosed string": b'"a',
    "unclosed string of escapes": b'"' + rb"\"[" * 100_000,
    "unclosed array": b"[1",
    "unclosed object": b'{"a":1',
    "wrong bracket": b"[1}",
    "unknown escape": rb'"\x41"',
    "short unicode escape": rb'"\u12"',
    "bad unicode escape": rb'"\u12G4"',
    "underscore in a unicode escape": rb'"\u1_23"',
    "wrong case": b"True",
    "cut literal": b"nul",
    "no-break space": "\u00a0{}".encode(),
    "form feed": b"\x0c{}",
    "NUL after the value": b"{}\x00",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_strict_json_is_refused_without_echoing_it(body: bytes) -> None:
    with pytest.raises(NotJson) as refusal:
        jsontext.parse(body)
    assert 0 < len(str(refusal.value)) < 120


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"\xc3\xa9": 1, x}', "at byte 10"),
        (b'  "\xff"', "at byte 3"),
        (b" [1] 2", "something follows the JSON value at byte 4"),
        (b'["a\x02"]', "control character at byte 3"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"' + b"n" * 999 + b'":1,"' + b"n" * 999 + b'":2}', f"'{'n' * 40}' occurs twice"),
        (b"[" * 200, "more than 128 levels"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where(body: bytes, detail: str) -> None:
    with pytest.raises(NotJson) as refusal:
        jsontext.parse(body)
    assert detail in str(refusal.value)


@pytest.mark.parametrize("text", ['"\\ud83d\\ude00"', '"\\\\ud800"', '"\\u0000"', '"\x7f\u2028"'])
def test_pairs_of_surrogates_and_rare_characters_are_accepted(text: str) -> None:
    assert jsontext.parse(text.encode()) == json.loads(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_payload_is_at_most_128_levels_deep(opening: str, closing: str) -> None:
    times = 128 // (len(opening.replace('"a":', "")))
    levels = f"{opening * times}{closing * times}".replace(":}", ":1}").encode()
    assert jsontext.depth(levels) == 128
    jsontext.parse(levels)
    with pytest.raises(NotJson, match="128 levels"):
        jsontext.parse(b"[" + levels + b"]")
    jsontext.parse(b"[" + levels + b"]", max_depth=129)


@pytest.mark.parametrize("length", [10_000, 1_000_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_bottomless_nesting_is_an_ordinary_refusal(opening: bytes, length: int) -> None:
    with pytest.raises(NotJson, match="128 levels"):
        jsontext.parse(opening * length)
    with pytest.raises(NotJson):
        jsonbatch.split_tasks(b'{"tasks":[' + opening * length, limit=10)
    with pytest.raises(NotJson):
        jsontext.parse(opening * length, max_depth=10**9)


def test_brackets_in_strings_are_not_levels() -> None:
    body = json.dumps(["[" * 300, '"[{' * 300, {"[{" * 300 + "\\": "\\"}]).encode()
    assert jsontext.depth(body) == 2
    jsontext.parse(body, max_depth=2)
    assert jsontext.depth(b"1") == 0
    assert jsontext.depth(b"{}") == 1


DIGITS = "7" * 262_144

AS_SENT = rb"""
 { "b" : [ 1.0 , 1E+400, -0, 10e-1 , 1e999999999999 ] ,
   "a\u0061\/\ud83d\ude00 x" : " two  spaces, \" { [ \\" , "n":123456789012345678901234567890 ,
   "d": 0.1000000000000000055511151231257827, "e":{ } , "f":[ ], "t" :true	} """


def test_payload_texts_are_kept_as_sent_but_for_white_space() -> None:
    body = b'{"taskId": "x", "payload" : ' + AS_SENT + b', "type": "t"}'
    jsontext.parse(body)
    raw = jsontext.raw_payload(body)
    assert raw == AS_SENT.strip()
    assert jsontext.compact(raw) == (
        r'{"b":[1.0,1E+400,-0,10e-1,1e999999999999],"a\u0061\/\ud83d\ude00 x":" two  spaces, '
        r'\" { [ \\","n":123456789012345678901234567890,"d":0.1000000000000000055511151231257827,'
        r'"e":{},"f":[],"t":true}'
    )


def test_the_payload_is_found_by_its_unescaped_name_and_may_be_absent() -> None:
    assert jsontext.raw_payload(rb'{"p\u0061yload" : {"a": 1} }') == b'{"a": 1}'
    assert jsontext.raw_payload(b'{"x":{"payload":1}}') is None


@pytest.mark.parametrize("number", [DIGITS, f"0.{DIGITS}", f"1e{DIGITS}", f"-1.5E-{DIGITS}"])
def test_long_numbers_are_kept_as_sent(number: str) -> None:
    assert jsontext.compact(f" [ {number} ]".encode()) == f"[{number}]"


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        (b'{"tasks":[]}', []),
        (b' {\t"tasks" :\r\n[ {"a": [1, 2]} , 3,"]}" ] } \n', [b'{"a": [1, 2]}', b"3", b'"]}"']),
        (rb'{"\u0074asks":[{"tasks":[]},{"tasks":[]}]}', [b'{"tasks":[]}'] * 2),
        (b'{"tasks":["\xff",{"a":1,"a":2}]}', [b'"\xff"', b'{"a":1,"a":2}']),
    ],
)
def test_a_batch_is_split_into_its_elements_as_sent(body: bytes, elements: list[bytes]) -> None:
    for limit in (2 + len(elements), 100):
        assert [bytes(raw) for raw in jsonbatch.split_tasks(body, limit=limit)] == elements


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"[NaN]",
        b"\xef\xbb\xbf" + b'{"tasks":[]}',
        b'{"tasks":[]',
        b'{"tasks":[1,]}',
        b'{"tasks":[1 2]}',
        b'{"tasks":[],}',
        b'{"tasks":[]}{}',
        b'{"tasks":[]} ]',
        b'{"tasks":[1],"tasks":[1]}',
        b'{"tasks":[],"tasks":[1, 2, 3]}',
        b'{"tasks":[1, 2, 3],"tasks":[]}',
        rb'{"tasks":[1],"t\u0061sks":[1]}',
        b'{"tasks":1,"tasks":[1]}',
        b'{"\xff":[]}',
        rb'{"\ud800":[]}',
    ],
)
def test_a_batch_that_is_not_json_or_names_tasks_twice_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        jsonbatch.split_tasks(body, limit=10)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"1",
        b"{}",
        b'{"tasks":{}}',
        b'{"tasks":null}',
        b'{"task":[]}',
        b'{"tasks":[],"x":1}',
        b'{"x":"' + b"x" * 999 + b'","tasks":[]}',
        b'{"tasks":{"a":1,"b":2,"c":3,"d":4,"e":5}}',
    ],
)
def test_a_batch_of_another_shape_is_told_apart_from_bad_json(body: bytes) -> None:
    with pytest.raises(NotBatch):
        jsonbatch.split_tasks(body, limit=3)


@pytest.mark.parametrize("element", [b"{}", b'{"a":[1,2,3]}', b'"a,b,c"', b"0"])
def test_a_batch_may_hold_the_limit_and_not_one_more(element: bytes) -> None:
    body = b'{"tasks":[' + b",".join([element] * 50) + b"]}"
    assert len(jsonbatch.split_tasks(body, limit=50)) == 50
    with pytest.raises(TooManyTasks):
        jsonbatch.split_tasks(body, limit=49)


_PEAK = """
import sys, tracemalloc
from unlost import jsonbatch
body = sys.stdin.buffer.read()
tracemalloc.start()
try:
    jsonbatch.split_tasks(body, limit=1_000)
except jsonbatch.TooManyTasks:
    pass
print(tracemalloc.get_traced_memory()[1] / len(body))
"""


def of_its_size(body: bytes) -> float:
    """What splitting a body takes, for each of its bytes.  In a process of its own: a thread that
    another test left running would be measured too."""
    return float(subprocess.check_output([sys.executable, "-c", _PEAK], input=body))


def test_a_body_of_countless_elements_costs_no_memory() -> None:
    assert of_its_size(b'{"tasks":[' + b"0," * 2_000_000 + b"0]}") < 0.5


@pytest.mark.parametrize("escapes", [rb"\ud83d\ude00", rb"\ud83dx", rb"\\", rb"\\\udead"])
def test_a_body_of_countless_escapes_costs_one_copy(escapes: bytes) -> None:
    body = rb'{"tasks":["\u0041' + escapes * (8_000_000 // len(escapes)) + b'"]}'
    assert of_its_size(body) < 1.3


@pytest.mark.parametrize(
    "text",
    [
        '{"b": [1, "é", null], "a": {"c": -12}}',
        ' {"n":"1234567890123"} ',
        '"12345678901234"',
        '{"price": 19.99, "off": [-0.5, 1.0, 3]}',
    ],
)
def test_a_text_that_is_written_as_it_was_sent_is_read_so(text: str) -> None:
    found = jsontext.parse_written(text.encode())
    assert found is not None
    tree, plain = found
    assert tree == jsontext.parse(text.encode())
    assert plain == json.loads(text)
    assert jsontext.written(plain).decode() == jsontext.compact(text.encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b"[1.00]",
        b"[0.12345678901234567]",
        b"[-0]",
        b"[1e2]",
        b"[1234567890123456]",
        b'["\\u0041"]',
        b'["\\ud800"]',
        b'["\xff"]',
        b"\xef\xbb\xbf{}",
        b"[1] 2",
        b"[" * 200 + b"]" * 200,
    ],
)
def test_any_other_text_is_read_otherwise_or_refused(body: bytes) -> None:
    assert jsontext.parse_written(body) is None
