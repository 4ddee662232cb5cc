"""The boto3 client: its timeouts and retries, and what is wrong where there can be none."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from unlost.settings import WrongSetting

CONNECT_TIMEOUT = 2.0
READ_TIMEOUT = 5.0
TRIES = 4
"""Tries in all that the SDK makes of a call that was throttled, cut off, or not answered."""


def client(connections: int) -> Any:
    """A DynamoDB client; region, endpoint and credentials as boto3 finds them.

    Raises WrongSetting where no region is named, or an endpoint is no URL.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=connections,
        tcp_keepalive=True,
    )
    try:
        return boto3.session.Session().client("dynamodb", config=config)
    except (BotoCoreError, ValueError) as fault:
        raise WrongSetting(f"there is no way to DynamoDB: {fault}") from None
