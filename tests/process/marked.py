"""Marked secrets, one for each place where a secret is, and how they are looked for."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from tests.process.service import UNLOST

PAYLOAD, HEADER, BODY, HOOK = (
    f"marked{word}secret" for word in ("payload", "head", "body", "hook")
)
SIGNING = base64.b64encode(b"marked-signing-secret-of-32-byte").decode()
KEY = "unlost_" + "markedkey" * 4 + "abcdefg"
PASSWORD = "markedpasswordsecret"
ALL = (PAYLOAD, HEADER, BODY, HOOK, SIGNING, KEY, PASSWORD, SIGNING.rstrip("="))


def told(folder: Path, *command: str) -> str:
    """What a command says, however it ends."""
    done = subprocess.run(
        [UNLOST, *command], capture_output=True, text=True, check=False, cwd=folder, timeout=60
    )
    return done.stdout + done.stderr


def clean(text: str, where: str) -> None:
    found = [secret for secret in ALL if secret in text]
    assert not found, f"{found} in {where}: {text[:2000]}"
