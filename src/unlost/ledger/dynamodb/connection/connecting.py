"""The boto3 client, and what is wrong where there can be none."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import BotoCoreError

from unlost.ledger.dynamodb.connection.retrying import once
from unlost.settings import WrongSetting


def client(connections: int) -> Any:
    """A DynamoDB client; region, endpoint and credentials as boto3 finds them.

    Raises WrongSetting where no region is named, or an endpoint is no URL.
    """
    try:
        return boto3.session.Session().client("dynamodb", config=once(connections))
    except (BotoCoreError, ValueError) as fault:
        raise WrongSetting(f"there is no way to DynamoDB: {fault}") from None
