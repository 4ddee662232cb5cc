"""Where a service is, and with which key it is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from unlost.client.errors import UnlostError

DEFAULT_URL: Final = "http://127.0.0.1:8080"


class Address:
    """Where to ask, and with which key, which nothing shows."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """What is None is taken from UNLOST_URL and UNLOST_API_KEY; a key that begins with `@`
        names the file that holds it.

        Raises ValueError for what can be none, and UnlostError for a file that cannot be read or
        is empty.
        """
        self.url = _checked(url or environment.get("UNLOST_URL") or DEFAULT_URL)
        given = environment.get("UNLOST_API_KEY", "") if api_key is None else api_key
        key = _read(given[1:]) if given.startswith("@") else given
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError("an API key is printable ASCII without spaces")
        self._key = key

    def headers(self) -> dict[str, str]:
        """What every request has."""
        headers = {"accept": "application/json", "user-agent": "unlost"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        return headers


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"a URL is like {DEFAULT_URL}") from None
    plain = url.isprintable() and " " not in url and not parts.query and not parts.fragment
    # What it says before an @ would be shown, and would take the key's place.
    if not (plain and parts.scheme in ("http", "https") and parts.hostname) or "@" in parts.netloc:
        raise ValueError(f"a URL is like {DEFAULT_URL}, without user or password")
    return url.rstrip("/")


def _read(file: str) -> str:
    try:
        key = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8"
        raise UnlostError(f"the API key's file {file} cannot be read: {why}") from None
    if not key:
        raise UnlostError(f"the API key's file {file} holds no key")
    return key
