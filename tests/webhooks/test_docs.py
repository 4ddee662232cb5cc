"""docs/webhooks.md: its ways to verify work, and it says what is so."""

from __future__ import annotations

import re
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.webhooks.receiver import OLDER, SECRET
from unlost.settings import Settings, flag
from unlost.webhooks import delivery, notices, sending, target
from unlost.webhooks.signature import headers, secrets_of

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
BODY = '{"type":"task.succeeded","data":{"result":"ü"}}'.encode()


@pytest.mark.parametrize("code", re.findall(r"(?s)```python\n(.*?)```", TEXT))
def test_a_receiver_that_verifies_as_described_takes_ours_and_nobody_elses(code: str) -> None:
    names: dict[str, Any] = {}
    exec(code, names)
    signed = headers(secrets_of(f"{OLDER} {SECRET}"), "webhook_1", int(time.time()), BODY)
    assert names["verified"](SECRET, signed, BODY)["type"] == "task.succeeded"
    old = headers(secrets_of(SECRET), "webhook_1", int(time.time()) - 301, BODY)
    for head, body in ((signed, BODY + b" "), (old, BODY)):
        with pytest.raises(Exception, match=r"signature|signed|old"):
            names["verified"](SECRET, head, body)


MALFORMED = {
    "no headers": {},
    "no signature": {"webhook-signature": None},
    "no time": {"webhook-timestamp": None},
    "no id": {"webhook-id": None},
    "a time that is none": {"webhook-timestamp": "soon"},
    "a signature that is not ASCII": {"webhook-signature": "v1,é"},
    "a signature without a version": {"webhook-signature": "abc"},
}


@pytest.mark.parametrize("changed", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("code", re.findall(r"(?s)```python\n(.*?)```", TEXT))
def test_what_is_malformed_raises_nothing_but_that_it_does_not_verify(
    code: str, changed: dict[str, str | None]
) -> None:
    names: dict[str, Any] = {}
    exec(code, names)
    good = headers(secrets_of(SECRET), "webhook_1", int(time.time()), BODY)
    given = {name: value for name, value in {**good, **changed}.items() if value is not None}
    with pytest.raises(ValueError, match="not signed"):
        names["verified"](SECRET, given if changed else {}, BODY)


def test_every_setting_and_bound_is_the_one_that_is_described() -> None:
    for item in fields(Settings):
        if item.name.startswith("webhook_"):
            assert f"| `{flag(item.name)}` |" in TEXT
    assert f"There are {notices.RETRIES} retries." in TEXT
    assert f"within {sending.TIMEOUT:g} s" in TEXT
    assert f"above {notices.MAX_RESULT // 1024} KiB" in TEXT
    assert f"at most {target.MAX_URL:,} characters" in TEXT
    assert delivery.LONGEST_WAIT == 24 * 3600  # "a day at most"


def test_about_two_hours_are_what_the_retries_take() -> None:
    backoff = Settings().backoff
    waits = [backoff.wait(retry, 0.5) for retry in range(1, notices.RETRIES + 1)]
    assert 1.9 < sum(waits) / 3600 < 2.3
