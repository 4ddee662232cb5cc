"""Whether calls need a key."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address


class Auth(StrEnum):
    """`UNWRITTEN` is `NONE` where nobody wrote it: for who calls from this machine alone."""

    KEYS = "keys"
    NONE = "none"
    UNWRITTEN = "unwritten"

    @property
    def needs_key(self) -> bool:
        return self is Auth.KEYS


def auth_of(written: str, host: str, *, proxied: bool) -> Auth:
    """What holds where `--auth` says `written` ("" where it is left out) and the service listens on
    `host`.  `proxied`: something was set that only who stands behind a proxy, or is called from
    other origins, needs."""
    if written:
        return Auth(written)
    return Auth.UNWRITTEN if is_loopback(host) and not proxied else Auth.KEYS


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
