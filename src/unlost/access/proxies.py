"""Whose word is believed on where a call comes from: that of the proxies in front.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

import msgspec

from unlost.remembered import remembered

EVERYBODY: Final = "*"


class Seen(msgspec.Struct, frozen=True):
    """Where a call comes from, as the believed proxies tell."""

    client: str
    scheme: str | None


class Believed(msgspec.Struct, frozen=True):
    """The proxies that are believed: networks, or whoever connects."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    everybody: bool = False

    def __bool__(self) -> bool:
        return self.everybody or bool(self.networks)

    def includes(self, address: str) -> bool:
        """Whether what stands at this address is believed."""
        return self.everybody or _is_in(self.networks, address)


def believed(names: Sequence[str]) -> Believed:
    """Those who are named as `is_proxy` allows."""
    kept = (ip_network(name, strict=False) for name in names if name != EVERYBODY)
    return Believed(tuple(kept), EVERYBODY in names)


def is_proxy(name: str) -> bool:
    """Whether a text names proxies: an address, a network, or `*`."""
    try:
        ip_network(name, strict=False)
    except ValueError:
        return name == EVERYBODY
    return True


def seen(proxies: Believed, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Seen:
    """Where a call comes from that `peer`, who is believed, has handed on.

    The client is the rightmost address in `X-Forwarded-For` that is not itself believed: what
    stands before it anybody may have written.
    """
    chain: list[str] = []
    scheme = None
    for name, value in headers:
        if name == b"x-forwarded-for":
            chain += (part.strip() for part in value.decode("latin-1").split(","))
        elif name == b"x-forwarded-proto" and scheme is None:
            scheme = value.decode("latin-1").partition(",")[0].strip().lower()
    return Seen(_client(proxies, peer, chain), scheme if scheme in ("http", "https") else None)


def _client(proxies: Believed, peer: str, chain: Sequence[str]) -> str:
    client = peer
    for entry in reversed(chain):
        address = _address(entry)
        if address is None:
            return client  # who wrote it is known, and nothing before
        client = address
        if not proxies.includes(address):
            break
    return client


def _address(entry: str) -> str | None:
    """The address in an entry of `X-Forwarded-For`, which may have a port."""
    text = entry
    if entry.startswith("["):
        text = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        text = entry.partition(":")[0]
    found = _parsed(text)
    return None if found is None else str(found)


@remembered(1024)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _is_in(networks: Sequence[IPv4Network | IPv6Network], address: str) -> bool:
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)
