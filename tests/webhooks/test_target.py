"""Which URLs may be named and which addresses reached."""

from __future__ import annotations

import pytest

from unlost.webhooks.target import MAX_URL, BadTarget, Reach, check, read

PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101", "2a00:1450::1"]
NOT_PUBLIC = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1", "fe80::1%1",
    "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2002:7f00:1::", "100::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "", "localhost", "1.2.3",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    check(address, Reach.PUBLIC)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_not(address: str) -> None:
    with pytest.raises(BadTarget):
        check(address, Reach.PUBLIC)


def test_they_are_where_it_is_allowed() -> None:
    for address in ("127.0.0.1", "10.0.0.1", "::1"):
        check(address, Reach.ANY)


LINK_LOCAL = [
    "169.254.169.254", "169.254.0.1", "169.254.170.2", "fe80::1", "fe80::1%1", "febf::1",
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::169.254.169.254", "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:5601:5601", "fd00:ec2::254",
]  # fmt: skip


@pytest.mark.parametrize("address", LINK_LOCAL)
def test_link_local_addresses_never_are_whatever_is_allowed(address: str) -> None:
    for reach in Reach:
        with pytest.raises(BadTarget):
            check(address, reach)
        shown = f"[{address}]" if ":" in address else address
        with pytest.raises(BadTarget):
            read(f"http://{shown}/latest/meta-data", reach)


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("https://example.com", "example.com", 443, "example.com"),
        ("https://Example.com:8443/a?b=%20c", "Example.com", 8443, "Example.com:8443"),
        ("https://1.1.1.1:443/x", "1.1.1.1", 443, "1.1.1.1"),
        ("https://[2606:4700::1]:1/", "2606:4700::1", 1, "[2606:4700::1]:1"),
        ("https://a_b.example.com.?x", "a_b.example.com.", 443, "a_b.example.com."),
    ],
)
def test_a_url_is_read_in_parts(url: str, host: str, port: int, authority: str) -> None:
    target = read(url, Reach.PUBLIC)
    assert (target.host, target.port, target.authority) == (host, port, authority)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com", "/x", "ftp://example.com/", "file:///etc/passwd",
        "gopher://example.com/", "http://example.com/", "https://", "https:///x", "https://:80/",
        "https://user:word@example.com/", "https://user@example.com/", "https://example.com/#x",
        "https://example.com:0/", "https://example.com:65536/", "https://example.com:x/",
        "https://example.com\\@evil.com/", "https://exämple.com/", "https://example.com/ü",
        "https://example.com/ x", "https://example.com/\r\nx: y", "https://example.com\n",
        "https://127.0.0.1/", "https://10.1.2.3/", "https://[::1]/", "https://[fe80::1%25eth0]/",
        "https://[::ffff:127.0.0.1]/", "https://[:::]/", "https://-.example.com/",
        "https://example.com/" + "x" * MAX_URL,
    ],
)  # fmt: skip
def test_urls_that_may_not_be_named(url: str) -> None:
    with pytest.raises(BadTarget):
        read(url, Reach.PUBLIC)


def test_http_and_private_hosts_may_be_named_where_it_is_allowed() -> None:
    assert read("http://127.0.0.1:8080/hook", Reach.ANY).port == 8080
    assert read("http://[::1]", Reach.ANY).authority == "[::1]"
    with pytest.raises(BadTarget):
        read("http://user@127.0.0.1/", Reach.ANY)
