"""The emulator of the tests: it is there, alone, and gone afterwards."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import boto3
import psutil

from tests.aws.emulator import REGION, Emulator

KILLED_TESTS = """
import os, signal, sys
from pathlib import Path
from tests.aws.emulator import Emulator
print(Emulator(Path(sys.argv[1])).process_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_listens_on_this_machine_only_and_ends_with_its_handle(tmp_path: Path) -> None:
    with Emulator(tmp_path) as running:
        process = psutil.Process(running.process_id)
        listening = [c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"]
        assert set(listening) == {"127.0.0.1"}
    assert not process.is_running()


def test_it_ends_with_the_tests_even_when_these_are_killed(tmp_path: Path) -> None:
    tests = subprocess.run(
        [sys.executable, "-c", KILLED_TESTS, str(tmp_path)], stdout=subprocess.PIPE, check=False
    )
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(tests.stdout)).wait(timeout=10)


def test_a_delayed_message_waits_as_long_as_it_was_told_to(emulator: Emulator) -> None:
    """Retries hang on it, here and on AWS."""
    queue = boto3.client(
        "sqs",
        endpoint_url=emulator.url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    url = queue.create_queue(QueueName="delayed")["QueueUrl"]
    began = time.monotonic()
    queue.send_message(QueueUrl=url, MessageBody="{}", DelaySeconds=2)
    assert "Messages" not in queue.receive_message(QueueUrl=url)
    while "Messages" not in queue.receive_message(QueueUrl=url, WaitTimeSeconds=1):
        assert time.monotonic() < began + 20
    assert time.monotonic() - began >= 2
