"""Where webhooks go: which URLs may be named, and which addresses be reached.  Pure."""

from __future__ import annotations

import ipaddress
import re
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import NamedTuple

MAX_URL = 2_000

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][A-Za-z0-9!$%&'()*+,./:;=?@_~\[\]-]*)?",
    re.ASCII,
)
_PORTS = {"http": 80, "https": 443}

_NAT64 = IPv6Network("64:ff9b::/96")
_METADATA = IPv6Address("fd00:ec2::254")  # AWS's, beside 169.254.169.254
_UNICAST = IPv6Network("2000::/3")
_TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))  # Teredo and 6to4: to IPv4


class Reach(Enum):
    """How far webhooks may go."""

    PUBLIC = "public"
    """To public addresses, over https."""

    ANY = "any"
    """To every address but link-local ones, also over plain http."""


class BadTarget(Exception):
    """Webhooks do not go there.  The message says why, and names no address."""


class Target(NamedTuple):
    """A URL that may be named, in parts.  `host` has no brackets, `path` has the query."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` of requests."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read(url: str, reach: Reach) -> Target:
    """The target that a URL names.  Raises BadTarget.

    No user, no fragment, nothing outside of ASCII; where the host is an address, it must be one
    that can be reached.
    """
    if len(url) > MAX_URL:
        raise BadTarget(f"must have at most {MAX_URL} characters")
    parts = _URL.fullmatch(url)
    port = int(parts["port"] or _PORTS[parts["scheme"]]) if parts else 0
    if parts is None or not 0 < port < 65_536:
        raise BadTarget("must be an absolute URL, https://HOST/…, without user and fragment")
    if parts["scheme"] == "http" and reach is Reach.PUBLIC:
        raise BadTarget("must begin with https://")
    host = parts["host"].strip("[]")
    address = _address(host)
    if address is None and ":" in host:
        raise BadTarget("has no IPv6 address in its brackets")
    if address is not None:
        check(host, reach)
    path = parts["path"] or "/"
    return Target(url, parts["scheme"], host, port, path if path.startswith("/") else f"/{path}")


def is_target(url: str) -> bool:
    """Whether webhooks could go there, however far they may reach."""
    try:
        read(url, Reach.ANY)
    except BadTarget:
        return False
    return True


def host(url: str) -> str:
    """The host that a URL names, which `read` has let pass."""
    parts = _URL.fullmatch(url)
    return "" if parts is None else parts["host"].strip("[]").lower()


def check(address: str, reach: Reach) -> None:
    """Raise BadTarget unless webhooks may go to this IP address."""
    found = _address(address)
    if found is not None and is_link_local(found):
        raise BadTarget("is at a link-local address, which webhooks never reach")
    if found is None or (reach is Reach.PUBLIC and not is_public(found)):
        raise BadTarget("is at an address that is not public")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the public Internet's, for one machine.

    Not loopback, private, shared, link-local, multicast, reserved or for documentation, and no
    IPv6 address that leads to such an IPv4 one.
    """
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST or any(address in tunnel for tunnel in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_link_local(address: IPv4Address | IPv6Address) -> bool:
    """Whether only neighbours have an address, as the metadata of clouds do (which hold
    credentials), or it leads to such a one."""
    if isinstance(address, IPv6Address):
        leads = (_inner(address), address.sixtofour, address.teredo and address.teredo[1])
        if any(inner is not None and inner.is_link_local for inner in leads):
            return True
        if int(address) >> 32 == 0 and IPv4Address(int(address)).is_link_local:
            return True
    return address.is_link_local or address == _METADATA


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that connections to this one reach in the end."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped
