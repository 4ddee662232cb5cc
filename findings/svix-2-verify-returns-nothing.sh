#!/usr/bin/env bash
# svix 1.99.1, 2.0.0 and 2.9.1 (PyPI), Python 3.11.
#
# What happens: `Webhook(secret).verify(body, headers)` of svix 1 returns the parsed payload of a webhook that is genuine.
# From 2.0.0 on it returns None for the same webhook, and says nothing: no warning, no deprecated alias, no error.
#
# What one would guess: that `payload = webhook.verify(body, headers)`, as many guides have it, goes on working, as it does
# with `standardwebhooks` 1.1.0, which svix 2 calls underneath: that returns the payload unless it is told not to.
# Whom it hurts: receivers of webhooks that are upgraded without a pin.  The signature is checked, then `payload["type"]`
# is a TypeError, the sender gets a 500 and tries again until it switches the endpoint off; and code that says
# `if payload:` or `payload or {}` answers 200 and drops every webhook.
# What helps: to take `verify` as a check only, and to parse the body oneself: `json.loads(body)` once it has returned.
#
# Seen: 1.99.1 {'type': 'invoice.paid'}, 2.0.0 None, 2.9.1 None; a wrong signature is refused by all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/finding.py" <<'PYTHON'
import datetime
import importlib.metadata
import warnings

from svix.webhooks import Webhook, WebhookVerificationError

warnings.simplefilter("error")
version = importlib.metadata.version("svix")
body = '{"type": "invoice.paid"}'
webhook = Webhook("whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")
now = datetime.datetime.now(datetime.timezone.utc)
headers = {
    "svix-id": "msg_1",
    "svix-timestamp": str(int(now.timestamp())),
    "svix-signature": webhook.sign("msg_1", now, body),
}
answer = webhook.verify(body, headers)
print(f"svix {version}: verify returns {answer!r}")
assert answer == ({"type": "invoice.paid"} if version.startswith("1.") else None), "it is otherwise now"
try:
    webhook.verify(body + " ", headers)
except WebhookVerificationError:
    pass
else:
    raise SystemExit("a wrong signature passes")
PYTHON
for version in 1.99.1 2.0.0 2.9.1; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "svix==$version"
  "$folder/$version/bin/python" "$folder/finding.py"
done
