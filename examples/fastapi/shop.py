"""A shop: it keeps orders in its own database, and unlost sends the invoices.

An order and the task for its invoice are one transaction: there are both, or neither.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, Field

import unlost

DATABASE = "shop.db"
TABLES = """
CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, left INTEGER CHECK (left >= 0)) STRICT;
CREATE TABLE IF NOT EXISTS orders (
  number INTEGER PRIMARY KEY, item TEXT NOT NULL, count INTEGER NOT NULL
) STRICT;
INSERT INTO stock VALUES ('book', 10) ON CONFLICT DO NOTHING;
"""


class Order(BaseModel):
    """What a customer orders."""

    item: str
    count: int = Field(ge=1)


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """The shop's database, in a transaction that is committed if nothing is raised in it."""
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        yield connection


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Make the tables, and have one client of unlost for all requests."""
    with database() as connection:
        connection.executescript(TABLES)
    async with unlost.AsyncClient(retry_for=5) as app.state.tasks:
        yield


app = FastAPI(lifespan=lifespan)


def tasks() -> Any:
    """The client of the service where `UNLOST_URL` says."""
    return app.state.tasks


Tasks = Annotated[unlost.AsyncClient, Depends(tasks)]


@app.post("/orders", status_code=201)
def take(order: Order) -> dict[str, Any]:
    """Take an order, and have its invoice sent."""
    try:
        with database() as connection:
            taken = connection.execute(
                "INSERT INTO orders (item, count) VALUES (?, ?)", (order.item, order.count)
            )
            number = taken.lastrowid
            task = unlost.outbox.add(
                connection, {"order": number}, f"invoice-{number}", type="invoice.send"
            )
            in_stock = connection.execute(
                "UPDATE stock SET left = left - ? WHERE item = ?", (order.count, order.item)
            )
            if not in_stock.rowcount:
                raise HTTPException(404, f"there is no {order.item}")
    except sqlite3.IntegrityError:  # the order is rolled back, and its task with it
        raise HTTPException(409, f"there are not so many of {order.item}") from None
    return {"number": number, "task": task}


@app.get("/orders/{number}")
async def show(number: int, client: Tasks) -> dict[str, Any]:
    """An order, and what has become of its invoice."""
    with database() as connection:
        found = connection.execute(
            "SELECT item, count FROM orders WHERE number = ?", (number,)
        ).fetchone()
    if found is None:
        raise HTTPException(404, "there is no such order")
    try:
        task = await client.wait(f"invoice-{number}", 1)
    except unlost.NotFound:  # it is still in the outbox
        return {"item": found[0], "count": found[1], "invoice": "queued"}
    return {"item": found[0], "count": found[1], "invoice": task.state, "result": task.result}
