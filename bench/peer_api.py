"""The same HTTP API as people write it on Lambda: FastAPI, pydantic, Mangum, boto3, Powertools.

Only what an import does: every route, its parameters and its models, and no more.  It needs
packages that this project does not; `bench.cold_start` imports it.
"""
# mypy: ignore-errors
# ruff: noqa: N803, N815  the names are those on the wire

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import boto3  # noqa: F401  the import is what is measured
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, Field

logger = Logger("tasks")
metrics = Metrics("tasks", "tasks")
app = FastAPI(title="tasks")


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewTask(Strict):
    taskId: str = Field(min_length=1, max_length=255, pattern="^[^\\x00-\\x1f]*$")
    payload: dict[str, Any]
    type: str = Field("default", min_length=1, max_length=100)
    delaySeconds: float = Field(0, ge=0, le=31_536_000)
    runAt: datetime | None = None
    priority: int = Field(0, ge=-100, le=100)
    maxRetries: int | None = Field(None, ge=0, le=100)
    timeoutSeconds: float | None = Field(None, gt=0, le=43_200)


class NewBatch(Strict):
    tasks: list[Any] = Field(max_length=10_000)


class Act(Strict):
    by: str | None = Field(None, max_length=1000)
    reason: str | None = Field(None, max_length=1000)


class Redrive(Act):
    payload: dict[str, Any] | None = None


class BulkRedrive(Act):
    fingerprint: str | None = None
    type: str | None = None
    taskIds: list[str] | None = None
    all: bool | None = None
    limit: int | None = Field(None, ge=1)
    ratePerSecond: float | None = Field(None, gt=0)


class Fault(BaseModel):
    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None


class Error(BaseModel):
    type: str
    message: str
    traceback: str | None = None


class Attempt(BaseModel):
    number: int
    startedAt: datetime
    finishedAt: datetime | None
    outcome: str | None
    error: Error | None
    nextAttemptAt: datetime | None = None


class History(BaseModel):
    at: datetime
    event: str
    by: str | None
    reason: str | None


class Item(BaseModel):
    taskId: str
    type: str
    state: State
    attemptCount: int
    maxRetries: int
    error: Error | None
    submittedAt: datetime
    updatedAt: datetime
    nextAttemptAt: datetime | None
    redriveCount: int
    purgedAt: datetime | None = None


class Task(Item):
    payload: dict[str, Any] | None
    attempts: list[Attempt]
    result: Any
    history: list[History] | None = None


class Page(BaseModel):
    tasks: list[Item]
    nextCursor: str | None


class BatchResult(BaseModel):
    taskId: str | None
    status: int
    detail: str | None = None


class Batch(BaseModel):
    accepted: int
    replayed: int
    rejected: int
    results: list[BatchResult]


class Group(BaseModel):
    fingerprint: str
    errorType: str
    sample: str
    count: int
    firstAt: datetime
    lastAt: datetime


class Groups(BaseModel):
    groups: list[Group]


class Redriven(BaseModel):
    redriven: int
    more: bool


class Rates(BaseModel):
    submittedPerSecond: float
    settledPerSecond: float


class Stats(BaseModel):
    accepted: int
    outstanding: int
    lost: int
    states: dict[State, int]
    rates: Rates
    unhandledTypes: list[str]


class Violation(BaseModel):
    taskId: str | None
    promise: str
    detail: str


class Audit(BaseModel):
    ok: bool
    accepted: int
    outstanding: int
    lost: int
    states: dict[State, int]
    violations: list[Violation]


class Health(BaseModel):
    status: str


def key(authorization: Annotated[str, Header()] = "") -> str:
    """The caller's key."""
    if not authorization:
        raise HTTPException(401)
    return authorization


KEY = [Depends(key)]
REFUSALS = {status: {"model": Problem} for status in (400, 401, 403, 404, 409, 413, 415, 422, 503)}
Limit = Annotated[int, Query(ge=1, le=1000)]
By = Annotated[str | None, Query(max_length=1000)]


@app.post("/tasks", status_code=202, dependencies=KEY, responses=REFUSALS)
async def submit(task: NewTask, response: Response) -> Task: ...


@app.post("/tasks/batch", dependencies=KEY, responses=REFUSALS)
async def submit_batch(batch: NewBatch) -> Batch: ...


@app.get("/tasks", dependencies=KEY, responses=REFUSALS)
async def list_tasks(
    state: State | None = None,
    type: str | None = None,
    idPrefix: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    include: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page: ...


@app.get("/tasks/{taskId}", dependencies=KEY, responses=REFUSALS)
async def show(taskId: str, wait: Annotated[float, Query(ge=0, le=30)] = 0) -> Task: ...


@app.post("/tasks/{taskId}/cancel", dependencies=KEY, responses=REFUSALS)
async def cancel(taskId: str, act: Act | None = None, by: By = None, reason: By = None) -> Task: ...


@app.get("/dead-letters", dependencies=KEY, responses=REFUSALS)
async def dead_letters(
    type: str | None = None,
    error: str | None = None,
    include: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page: ...


@app.get("/dead-letters/groups", dependencies=KEY, responses=REFUSALS)
async def groups() -> Groups: ...


@app.post("/dead-letters/{taskId}/redrive", status_code=202, dependencies=KEY, responses=REFUSALS)
async def redrive(
    taskId: str, act: Redrive | None = None, by: By = None, reason: By = None
) -> Task: ...


@app.post("/dead-letters/redrive", status_code=202, dependencies=KEY, responses=REFUSALS)
async def redrive_many(selection: BulkRedrive) -> Redriven: ...


@app.delete("/dead-letters/{taskId}", status_code=204, dependencies=KEY, responses=REFUSALS)
async def discard(
    taskId: str, act: Act | None = None, by: By = None, reason: By = None
) -> None: ...


@app.get("/stats", dependencies=KEY, responses=REFUSALS)
async def stats() -> Stats: ...


@app.get("/audit", dependencies=KEY, responses=REFUSALS)
async def audit() -> Audit: ...


@app.get("/livez")
async def live() -> Health: ...


@app.get("/readyz", dependencies=KEY, responses=REFUSALS)
async def ready() -> Health: ...


@app.get("/metrics", dependencies=KEY, response_class=PlainTextResponse)
async def numbers() -> str: ...


@app.get("/", dependencies=KEY, response_class=HTMLResponse)
async def home() -> str: ...


handler = Mangum(app, lifespan="off")
