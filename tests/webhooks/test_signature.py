"""Signatures, as the reference implementation of Standard Webhooks sees them."""

from __future__ import annotations

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.webhooks.receiver import OLDER, SECRET
from unlost.webhooks.signature import NotASecret, headers, secrets_of

BODY = '{"type":"task.succeeded","data":{"result":"ü"}}'.encode()


def signed(secrets: str) -> dict[str, str]:
    return headers(secrets_of(secrets), "webhook_1", int(time.time()), BODY)


def test_the_reference_implementation_finds_a_signature_good() -> None:
    assert Webhook(SECRET).verify(BODY, signed(SECRET))["type"] == "task.succeeded"


def test_another_body_or_id_or_secret_is_found_out() -> None:
    for body, head, secret in (
        (BODY + b" ", signed(SECRET), SECRET),
        (BODY, signed(SECRET) | {"webhook-id": "webhook_2"}, SECRET),
        (BODY, signed(SECRET), OLDER),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, head)


def test_with_two_secrets_either_one_verifies() -> None:
    for secret in (SECRET, OLDER):
        assert Webhook(secret).verify(BODY, signed(f"{SECRET} {OLDER}"))


@pytest.mark.parametrize(
    "text", ["", "c2VjcmV0", "whsec_", "whsec_c2VjcmV0", "whsec_%%%%", f"{SECRET}  {SECRET}",
             "whsec_" + "A" * 88, "whsec_ü"]
)  # fmt: skip
def test_what_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(NotASecret) as refused:
        secrets_of(text)
    assert text == "" or text not in str(refused.value)
