"""What may be done to a ledger, drawn at random: the strategies of the agreement test."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from tests.conformance.stage import BOOM, OTHER, submission
from unlost import policy
from unlost.ledger.values import Claimed, Held, Order, Part, Query, Settlement, Worker
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change
from unlost.policy import Backoff, Excuses
from unlost.task import SECOND, Event, Micros, Outcome, State, TaskError

START: Micros = 1_700_000_000 * SECOND

IDS = tuple(f"{first}/{number}" for number in range(8) for first in "abc")
TYPES = ("default", "mail")
ERRORS = (BOOM, OTHER, replace(BOOM, message="it broke again"))
WORKERS = (
    Worker("any"),
    Worker("mail", ("mail",), slots=2),
    Worker("solo", None, alone=True),
    Worker("pull", ("default", "mail"), pull=True),
)

MOST_EXCUSED = 3

Ending = tuple[Outcome, TaskError, float, bool, str | None, bool]
Who = tuple[str | None, str | None]

ids = st.sampled_from([*IDS, "nobody"])
types = st.sampled_from(TYPES)
workers = st.sampled_from(WORKERS)
starting = workers.map(lambda worker: replace(worker, types=()))
acts = st.sampled_from([Event.CANCEL, Event.REDRIVE, Event.REDRIVE, Event.DISCARD])
names = st.sampled_from([*(worker.id for worker in WORKERS), "stranger"])
seconds = st.sampled_from([0.0, 0.5, 1.0, 2.5, 60.0])
people: st.SearchStrategy[Who] = st.sampled_from([(None, None), ("ann", "because")])
payloads = st.sampled_from(['{"n":1}', '{"n": 2}'])
edits = st.sampled_from([None, '{"n": 2}', '{"n":3}'])
times = st.integers(0, 300).map(lambda second: START + second * SECOND)

submissions = st.builds(
    submission,
    st.sampled_from(IDS),
    payloads,
    type=types,
    priority=st.sampled_from([0, 0, -1, 1]),
    delay=st.sampled_from([0.0, 0.0, 0.0, 2.5, 60.0]),
    run_at=st.sampled_from([None, None, None, 1, START + 20 * SECOND]),
    max_retries=st.none() | st.integers(0, 3),
    timeout=st.none() | st.just(1.5),
    key=st.sampled_from([None, None, "ann", "bob"]),
)
few = st.sampled_from([None, UNSET, 1, 2])
breakers = st.builds(
    Breaker,
    share=st.just(0.5),
    window=st.just(60 * SECOND),
    minimum=st.integers(1, 3),
    pause=st.just(5 * SECOND),
    probes=st.integers(1, 2),
    excuse=st.booleans(),
)
slow = st.sampled_from([None, UNSET, UNSET, 0.1, 1.0, 3.0])
changes = st.builds(
    Change,
    limit=few,
    key_limit=few,
    breaker=st.sampled_from([None, UNSET]) | breakers,
    rate=slow,
    key_rate=slow,
    pull=st.sampled_from([UNSET, UNSET, UNSET, True, False]),
)
outcomes = st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.CANCELLED])
most_times = st.sampled_from([True, True, False])  # else too few tasks die
endings: st.SearchStrategy[Ending] = st.tuples(
    outcomes,
    st.sampled_from(ERRORS),
    seconds,
    most_times,
    st.none() | st.just('"done"'),
    st.sampled_from([False, False, True]),
)
queries = st.builds(
    Query,
    order=st.just(Order.SUBMITTED),
    state=st.none() | st.sampled_from(State),
    type=st.none() | types,
    id_prefix=st.sampled_from(["", "b/", "a/1"]),
    since=st.none() | times,
    until=st.none() | times,
    limit=st.integers(1, 4),
    parts=st.frozensets(st.sampled_from(Part)),
) | st.builds(
    Query,
    order=st.just(Order.DIED),
    type=st.none() | types,
    error=st.none() | st.sampled_from([BOOM.fingerprint, "Boom", OTHER.fingerprint, "Unheard"]),
    limit=st.integers(1, 4),
)


def settlement(
    attempt: Claimed | Held,
    outcome: Outcome,
    error: TaskError,
    wait: float,
    final: bool,
    result: str | None,
    asks: bool = False,
) -> Settlement:
    """How a worker, or who reaps for it, would settle this attempt; the failure is excused where
    it `asks`."""
    decided = policy.after_attempt(
        outcome, attempt.spent, attempt.max_retries, Backoff(wait, wait), draw=0.0, final=final,
        excuses=Excuses(asks, attempt.excused, MOST_EXCUSED),
    )  # fmt: skip
    failed = outcome not in {Outcome.SUCCEEDED, Outcome.RELEASED}
    return Settlement(
        attempt.task_id,
        attempt.token,
        outcome,
        decided.event,
        decided.wait,
        error if failed else None,
        result if outcome is Outcome.SUCCEEDED else None,
        excused=decided.excused,
        excusable=decided.excusable,
    )
