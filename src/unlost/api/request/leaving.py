"""Clients that leave before they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive


class ClientGone(Exception):
    """The client left before its call was answered, or was sent away; nobody is there to tell."""


@asynccontextmanager
async def leaving(receive: Receive) -> AsyncIterator[asyncio.Future[None]]:
    """A future that is done once the client has left."""
    listening = asyncio.create_task(_until_disconnected(receive))
    try:
        yield listening
    finally:
        listening.cancel()


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
