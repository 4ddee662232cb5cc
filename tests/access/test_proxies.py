"""Whose word is believed on where a call comes from."""

from __future__ import annotations

import pytest

from unlost.access import proxies

PEER = "10.0.0.2"
NETWORKS = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ([], PEER),
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # the first anybody may have written
        (["198.51.100.1", "203.0.113.9, 10.0.0.9"], "203.0.113.9"),
        (["203.0.113.9, 192.0.2.7"], "203.0.113.9"),
        (["203.0.113.9, 192.0.2.8"], "192.0.2.8"),
        (["10.0.0.5, 10.0.0.6"], "10.0.0.5"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["[2001:db9::1]:4711"], "2001:db9::1"),
        (["2001:db9::1"], "2001:db9::1"),
        (["203.0.113.9, ::ffff:10.0.0.3"], "203.0.113.9"),
        (["203.0.113.9, unknown"], PEER),
        (["203.0.113.9, unknown, 10.0.0.3"], "10.0.0.3"),
        ([""], PEER),
    ],
)
def test_the_client_is_the_rightmost_that_is_not_believed(
    forwarded_for: list[str], client: str
) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded_for]

    assert proxies.seen(proxies.believed(NETWORKS), PEER, headers).client == client


def test_where_everybody_is_believed_it_is_the_first() -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.1, 203.0.113.9")]
    everybody = proxies.believed(["*"])

    assert everybody.includes("198.51.100.1")
    assert proxies.seen(everybody, PEER, headers).client == "198.51.100.1"


def test_of_the_scheme_the_first_value_counts() -> None:
    believed = proxies.believed(NETWORKS)
    for value, scheme in ((b"https", "https"), (b"HTTPS, http", "https"), (b"gopher", None)):
        assert proxies.seen(believed, PEER, [(b"x-forwarded-proto", value)]).scheme == scheme


def test_who_is_believed() -> None:
    believed = proxies.believed(NETWORKS)
    assert all(map(believed.includes, ["10.9.8.7", "::ffff:10.1.1.1", "2001:db8::5", "192.0.2.7"]))
    assert not any(map(believed.includes, ["11.0.0.1", "192.0.2.8", "::1", "", "testclient"]))
    assert not proxies.believed([])


@pytest.mark.parametrize(
    ("name", "good"),
    [("10.0.0.1", True), ("10.0.0.1/8", True), ("::1", True), ("*", True), ("proxy", False),
     ("", False), ("10.0.0.0/33", False)],
)  # fmt: skip
def test_what_may_be_named(name: str, good: bool) -> None:
    assert proxies.is_proxy(name) is good
