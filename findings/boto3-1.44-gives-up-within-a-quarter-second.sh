#!/usr/bin/env bash
# boto3 and botocore 1.43.127 and 1.44.8, a DynamoDB client with its default configuration, Python 3.11.
#
# What happens: a server answers HTTP 500 for one second and is well again.  With 1.43 a call to DynamoDB outlasts that:
# 6 tries within 1.6 s, of 10 that it has.  With 1.44 the same call, with no configuration in both, fails after 4 tries
# and about 0.2 s; an outage of 0.3 s is mostly too long for it as well.  There are fewer tries, and the first pauses are
# tens of milliseconds long (1.43 has that behind an environment variable, AWS_NEW_RETRIES_2026, which is unset here).
#
# What one would guess: that a minor version keeps what its default configuration outlasts, which is the reason why
# programs do not retry on their own.
# Whom it hurts: every program that leaves a blip of DynamoDB to the SDK, from the day that `boto3` is upgraded (`pip
# install boto3` is enough, and AWS Lambda brings a version of its own): errors reach callers that were never seen before.
# What helps: retries of one's own above the SDK, or `Config(retries={"mode": "standard", "max_attempts": 10})`, which
# outlasts the second under both.
#
# Seen, of 5 calls each: 0.3 s of HTTP 500: 1.43.127 outlasts 5, 1.44.8 none or one; 1 s: 5 and none; 1 s with 10 retries: 5 and 5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/finding.py" <<'PYTHON'
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


class Table(BaseHTTPRequestHandler):
    """Answers each call as DynamoDB does, and with an internal error until `well`."""

    protocol_version = "HTTP/1.1"
    well = 0.0
    tries = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        Table.tries += 1
        status, body = 200, {"TableNames": []}
        if time.monotonic() < Table.well:
            status, body = 500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "try again"}
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Table)
threading.Thread(target=server.serve_forever, daemon=True).start()
found = {"version": boto3.__version__}
configurations = {"default": None, "10 retries": Config(retries={"mode": "standard", "max_attempts": 10})}
for name, config in configurations.items():
    for outage in (0.3, 1.0):
        outlasted, tries, seconds = 0, [], []
        for _ in range(5):
            client = boto3.client(
                "dynamodb", endpoint_url=f"http://127.0.0.1:{server.server_port}", region_name="eu-central-1",
                aws_access_key_id="test", aws_secret_access_key="test", config=config,
            )  # a new one: its quota for retries is full
            Table.tries, Table.well = 0, time.monotonic() + outage
            began = time.monotonic()
            try:
                client.list_tables()
                outlasted += 1
            except ClientError as error:
                assert error.response["Error"]["Code"] == "InternalServerError", error
            tries.append(Table.tries)
            seconds.append(round(time.monotonic() - began, 2))
        found[f"{name}, {outage} s"] = outlasted
        print(f"boto3 {boto3.__version__}, {name}, {outage} s of HTTP 500: outlasted {outlasted} of 5; tries {tries}, seconds {seconds}")
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
PYTHON
unset AWS_RETRY_MODE AWS_MAX_ATTEMPTS AWS_NEW_RETRIES_2026 AWS_CONFIG_FILE AWS_PROFILE AWS_DEFAULT_PROFILE AWS_CA_BUNDLE
export AWS_CONFIG_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
for version in 1.43.127 1.44.8; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "boto3==$version" "botocore==$version"
  "$folder/$version/bin/python" "$folder/finding.py" "$folder/$version.json"
done
python3 - "$folder" <<'PYTHON'
import json
import sys

before, after = (json.load(open(f"{sys.argv[1]}/{version}.json")) for version in ("1.43.127", "1.44.8"))
assert before["default, 1.0 s"] == 5 and after["default, 1.0 s"] == 0, "it behaves otherwise now"
assert before["default, 0.3 s"] == 5 and after["default, 0.3 s"] <= 1, "it behaves otherwise now"
PYTHON
