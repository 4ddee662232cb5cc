"""What an HTTP API of API Gateway makes of a path (payload format 2.0).

By captures of live events, made by others in July 2026 and not repeated here: the emulator does
it otherwise (docs/aws.md has both).  Doubled slashes, dots and `+` were not among them.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

CAPTURED: dict[str, str | None] = {
    "/capture/plain": "/capture/plain",
    "/capture/space%20value": "/capture/space value",
    "/capture/question%3Fvalue": "/capture/question",
    "/capture/percent%25done": None,
    "/capture/hash%23value": "/capture/hash#value",
    "/capture/slash%2Fvalue": "/capture/slash/value",
    "/capture/unicode-%CE%BB-%E4%B8%96%E7%95%8C": "/capture/unicode-λ-世界",
    "/capture/literal%252Fvalue": "/capture/literal/value",
    "/capture/literal%253Fvalue": "/capture/literal?value",
    "/capture/literal%2525value": "/capture/literal%value",
}
"""`rawPath` by the path that was sent; None where the gateway itself refused it."""

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")


def handed_on(sent: str) -> str | None:
    """`rawPath` for this path; None where the gateway refuses it with 400."""
    once = unquote(sent, errors="strict").partition("?")[0]
    return None if _BROKEN.search(once) else unquote(once, errors="strict")
