"""Which pages may call, and under which names: the rule itself, without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlost.access import browser
from unlost.access.browser import Bar, Rules

OPEN = Rules(hosts_only=True)
KEYED = Rules()
FACING = Rules(
    hosts=[browser.Place("jobs.example", None), browser.Place("jobs.test", 8443)],
    hosts_only=True,
    origins=frozenset({"https://app.example"}),
)
PAGE, HOST = Bar.PAGE, Bar.HOST
NAVIGATING = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
LOCAL = {"host": "127.0.0.1:8080"}


def barred(rules: Rules, headers: dict[str, str], method: str = "POST", **more: bool) -> Bar | None:
    known = browser.facts((k.encode(), v.encode("latin-1")) for k, v in headers.items())
    found = browser.refusal(rules, method, known, **more)
    return None if found is None else found.bar


@pytest.mark.parametrize(
    ("host", "bar"),
    [
        ("127.0.0.1", None), ("127.0.0.1:8080", None), ("10.1.2.3:80", None), ("[::1]:8080", None),
        ("[::1]", None), ("[fe80::1%eth0]", None), ("localhost", None), ("LOCALHOST:1", None),
        ("evil.example", HOST), ("evil.example:8080", HOST), ("localhost.evil.example", HOST),
        ("a.localhost", HOST), ("127.0.0.1.evil.example", HOST), ("127.1", HOST),
        ("0x7f.1", HOST), ("2130706433", HOST), ("::1", HOST), ("", HOST), (":80", HOST),
        ("localhost:80:80", HOST), ("localhost:x", HOST), ("localhost:99999", HOST),
        ("localhost, evil.example", HOST), ("user@localhost", HOST), ("[127.0.0.1]", HOST),
        ("localhost\x00", HOST), ("jobs.example", HOST), ("unlost", HOST),
    ],
)  # fmt: skip
def test_without_keys_only_addresses_and_localhost_are_known(host: str, bar: Bar | None) -> None:
    assert barred(OPEN, {"host": host}, "GET") is bar
    assert barred(OPEN, {"host": host}) is bar
    assert barred(OPEN, {"host": host}, "GET", health=True) is None
    assert barred(KEYED, {"host": host}) is None


@pytest.mark.parametrize(
    ("host", "bar"),
    [
        ("jobs.example", None), ("Jobs.Example", None), ("jobs.example:8080", None),
        ("jobs.test", None), ("jobs.test:8443", None), ("127.0.0.1", None),
        ("other.example", HOST), ("www.jobs.example", HOST), ("jobs.example.evil", HOST),
    ],
)  # fmt: skip
def test_names_that_are_allowed_are_known_on_any_port(host: str, bar: Bar | None) -> None:
    assert barred(FACING, {"host": host}) is bar


def test_who_sends_no_host_is_no_browser() -> None:
    assert barred(OPEN, {}) is None


@pytest.mark.parametrize(
    ("site", "bar"),
    [
        ("same-origin", None), ("none", None), ("same-site", PAGE), ("cross-site", PAGE),
        ("", PAGE), ("Same-Origin", PAGE), ("same-origin, cross-site", PAGE), ("x", PAGE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("rules", [OPEN, KEYED, FACING])
def test_what_the_browser_says_of_the_page_decides(
    rules: Rules, method: str, site: str, bar: Bar | None
) -> None:
    for origin in ({}, {"origin": "http://127.0.0.1:8080"}, {"origin": "null"}):
        assert barred(rules, LOCAL | origin | {"sec-fetch-site": site}, method) is bar


@pytest.mark.parametrize(
    ("origin", "host", "bar"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", None),
        ("http://localhost:8080", "127.0.0.1:8080", PAGE),
        ("http://127.0.0.1:8081", "127.0.0.1:8080", PAGE),
        ("http://127.0.0.1", "127.0.0.1:8080", PAGE),
        ("http://127.0.0.1", "127.0.0.1:80", None),
        ("https://127.0.0.1", "127.0.0.1", None),
        ("https://127.0.0.1", "127.0.0.1:443", None),
        ("http://[::1]:8080", "[::1]:8080", None),
        ("http://[::1]:8080", "[::2]:8080", PAGE),
        ("null", "127.0.0.1", PAGE),
        ("", "127.0.0.1", PAGE),
        ("file://", "127.0.0.1", PAGE),
        ("chrome-extension://127.0.0.1", "127.0.0.1", PAGE),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080", PAGE),
        ("http://user@127.0.0.1:8080", "127.0.0.1:8080", PAGE),
        ("http://127.0.0.1:8080, http://evil", "127.0.0.1:8080", PAGE),
        ("http://127.0.0.1:443", "127.0.0.1", PAGE),
        ("//127.0.0.1", "127.0.0.1", PAGE),
        ("127.0.0.1", "127.0.0.1", PAGE),
        ("http://", "", PAGE),
    ],
)
def test_without_that_the_origin_must_be_the_host(origin: str, host: str, bar: Bar | None) -> None:
    assert barred(KEYED, {"host": host, "origin": origin}) is bar
    assert barred(KEYED, {"host": host, "origin": origin}, "GET") is bar


def test_an_origin_may_be_one_of_the_names_that_are_allowed() -> None:
    for origin in ("https://jobs.example", "http://jobs.example", "https://jobs.test:8443"):
        assert barred(FACING, LOCAL | {"origin": origin}) is None
    for origin in ("https://jobs.example:8443", "https://jobs.test", "https://other.example"):
        assert barred(FACING, LOCAL | {"origin": origin}) is PAGE


def test_only_a_believed_proxy_says_by_which_name_it_was_called() -> None:
    headers = LOCAL | {"origin": "https://a.example", "x-forwarded-host": "a.example, b.example"}
    assert barred(KEYED, headers, believed=True) is None
    assert barred(KEYED, headers) is PAGE
    assert barred(KEYED, headers | {"origin": "https://b.example"}, believed=True) is PAGE


def test_a_link_may_lead_to_the_service_but_nothing_else_of_another_page() -> None:
    came = LOCAL | NAVIGATING | {"sec-fetch-site": "cross-site"}
    assert barred(OPEN, came, "GET") is None
    for change in (
        {"sec-fetch-dest": "iframe"}, {"sec-fetch-dest": "embed"}, {"sec-fetch-mode": "cors"},
        {"sec-fetch-mode": "no-cors"}, {"sec-fetch-dest": "document, iframe"},
    ):  # fmt: skip
        assert barred(OPEN, came | change, "GET") is PAGE
    for method in ("POST", "HEAD", "OPTIONS", "DELETE"):
        assert barred(OPEN, came, method) is PAGE
    assert barred(OPEN, came | {"host": "evil.example"}, "GET") is HOST


def test_pages_of_an_allowed_origin_may_call_and_others_may_not() -> None:
    came = LOCAL | {"sec-fetch-site": "cross-site", "origin": "https://app.example"}
    for method in ("GET", "POST", "OPTIONS"):
        assert barred(FACING, came, method) is None
        assert barred(OPEN, came, method) is PAGE
        for origin in ("http://app.example", "https://app.example:8443", "https://a.app.example"):
            assert barred(FACING, came | {"origin": origin}, method) is PAGE


@pytest.mark.parametrize(
    ("kind", "bar"),
    [
        ("application/json", None), ("application/json; charset=utf-8", None),
        ("Application/Vnd.X+JSON", None), ("application/x-ndjson", None),
        (None, Bar.MEDIA_TYPE), ("", Bar.MEDIA_TYPE), ("text/plain", Bar.MEDIA_TYPE),
        ("application/x-www-form-urlencoded", Bar.MEDIA_TYPE), ("text/json", Bar.MEDIA_TYPE),
        ("text/plain; a=application/json", Bar.MEDIA_TYPE),
        ("multipart/form-data", Bar.MEDIA_TYPE), ("application/json, text/plain", Bar.MEDIA_TYPE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [{"content-length": "2"}, {"transfer-encoding": "chunked"}])
def test_a_browser_must_say_that_its_body_is_json(
    kind: str | None, bar: Bar | None, size: dict[str, str]
) -> None:
    body = LOCAL | size | ({} if kind is None else {"content-type": kind})
    assert barred(OPEN, body) is None
    assert barred(OPEN, body | {"sec-fetch-site": "same-origin"}) is bar
    assert barred(OPEN, body | {"origin": "http://127.0.0.1:8080"}) is bar


def test_without_a_body_there_is_no_type_to_say() -> None:
    for length in ({}, {"content-length": "0"}):
        assert barred(OPEN, LOCAL | length | {"sec-fetch-site": "same-origin"}) is None


@pytest.mark.parametrize(
    "name", ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-port"]
)
def test_what_a_proxy_has_handed_on_is_refused_where_nobody_said_who_may_call(name: str) -> None:
    unproxied = Rules(hosts_only=True, unproxied=True)
    for value in ("", "1.2.3.4"):
        headers = {"host": "unlost", name: value}
        assert barred(unproxied, headers, "GET") is Bar.PROXIED
        assert barred(unproxied, headers, "GET", health=True) is None
        assert barred(OPEN, LOCAL | {name: value}) is None


def test_a_refusal_names_the_two_values_that_differ_and_what_mends_it() -> None:
    known = browser.facts([(b"host", b"jobs.example"), (b"origin", b"http://jobs.example:8080")])
    found = browser.refusal(KEYED, "POST", known)
    assert found is not None
    for text in (
        "http://jobs.example:8080", "Host is jobs.example;", "proxy_set_header Host $http_host",
    ):  # fmt: skip
        assert text in found.detail


_VALUES = st.one_of(
    st.sampled_from(["", "null", "same-origin", "http://[", "http://[::1", "[::1]:", "a:b:c", "%"]),
    st.text(st.characters(max_codepoint=255), max_size=30),
)


@given(
    st.dictionaries(
        st.sampled_from(["host", "origin", "sec-fetch-site", "x-forwarded-host", "content-type"]),
        _VALUES,
    ),
    st.booleans(),
)
def test_nothing_that_is_sent_raises(headers: dict[str, str], believed: bool) -> None:
    for rules in (OPEN, KEYED, FACING):
        barred(rules, headers, believed=believed)
