"""A client of each kind, a service for it to talk to, and what cuts it off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.running import Place, running
from tests.client.clients import Made, make
from tests.client.cutting import Cutting, cutting
from unlost import AsyncClient, Client


@pytest.fixture(scope="module")
def service() -> Iterator[Place]:
    """A service with an empty ledger."""
    with running() as place:
        yield place


@pytest.fixture(params=[Client, AsyncClient])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    """Makes clients of each kind in turn."""
    clients: list[Client] = []
    with asyncio.Runner() as runner:

        def made(*args: Any, **named: Any) -> Client:
            clients.append(make(request.param, runner, *args, **named))
            return clients[-1]

        yield made
        for client in clients:
            client.close()


@pytest.fixture
def client(made: Made, service: Place) -> Client:
    """A client of the service, of each kind."""
    return made(service.url)


@pytest.fixture
def between(service: Place) -> Iterator[Cutting]:
    """What lies between a client and the service."""
    with cutting(service.port) as between:
        yield between
