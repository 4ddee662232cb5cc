"""What a history says of each task: the checker's own account, made from events alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.simulation.history import UNKNOWN, Event
from unlost.ledger.values import Claim, Claimed, Settled, Settlement, Submitted, Verdict
from unlost.limits.control import Claimant
from unlost.task import TERMINAL, Micros, State, Submission
from unlost.task import Event as Happening

FOLLOWED = "fine print: a follow-up if and only if its parent succeeded"

AFTER = {
    Happening.SUCCEED: State.SUCCEEDED,
    Happening.RETRY: State.RETRYING,
    Happening.DIE: State.DEAD,
    Happening.RELEASE: State.QUEUED,
}


@dataclass(slots=True)
class Attempt:
    """One attempt, as claimed, and what its handler was seen to do."""

    claimed: Claimed
    worker: str
    alone: bool
    at: Micros
    heard: Micros | None = None
    starts: list[tuple[Micros, str]] = field(default_factory=list)
    told: list[Micros] = field(default_factory=list)
    ended: Micros | None = None
    how: str = ""
    asked: float = 0.0
    excuse: bool = False  # the handler asked for one
    fenced: Micros | None = None  # when its token became worth nothing
    pulled: bool = False  # by a worker that claims by the API

    @property
    def name(self) -> str:
        return f"attempt {self.claimed.number} of {self.claimed.task_id}"


class Move(NamedTuple):
    """A change of a task, or a settlement that was refused."""

    at: Micros
    who: str
    what: str  # accepted, claim, settle, refused, cancel, redrive, discard
    attempt: Attempt | None = None
    end: Settlement | None = None
    payload: str | None = None


class Answered(NamedTuple):
    """A submission and the verdict on it."""

    at: Micros
    submission: Submission
    answer: Submitted


@dataclass(slots=True)
class Story:
    """One task from its first submission on."""

    task_id: str
    answers: list[Answered] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    attempts: dict[int, Attempt] = field(default_factory=dict)  # by number
    state: State | None = None
    states: list[tuple[Micros, State]] = field(default_factory=list)  # since when each
    running: Attempt | None = None
    calls: set[str] = field(default_factory=set)  # that may come twice, and have done something

    @property
    def accepted(self) -> bool:
        """Whether the ledger ever took it."""
        return any(_accepted(one.answer) for one in self.answers)

    @property
    def submission(self) -> Submission:
        """What was accepted."""
        return next(one.submission for one in self.answers if _accepted(one.answer))


def _accepted(answer: Submitted) -> bool:
    return answer.verdict is Verdict.ACCEPTED


def as_settled(end: Settlement, held: Settled) -> Settlement:
    """How an attempt has ended for which this was asked."""
    if held is Settled.CONFLICT:
        return end.submit[0].conflict
    return end.by_breaker if held is Settled.EXCUSED else end


class Facts:
    """All stories of a history, and beside them what belongs to no single task.

    `wrong` is what cannot be told as a story at all,
    each under the promise that it breaks.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.stories: dict[str, Story] = {}
        self.tokens: dict[str, Attempt] = {}
        self.ends: dict[str, Event] = {}  # of processes
        self.orders: dict[str, list[str]] = {}  # "told to end" and the like, by process
        self.drains: dict[str, Micros] = {}  # since when a process knows that it is to end
        self.follows: dict[tuple[str, int], tuple[str, ...]] = {}  # what handlers have submitted
        self.wrong: list[tuple[str, str]] = []
        self._claims: dict[int, list[Attempt]] = {}
        self._states: Counter[str] = Counter()
        self._settled = 0
        for event in events:
            take = _TAKE.get(event.what)
            if take is not None:
                take(self, event)

    @property
    def accepted(self) -> list[Story]:
        """The stories of what was accepted."""
        return [story for story in self.stories.values() if story.state is not None]

    @property
    def all_ended(self) -> bool:
        """Whether every task that was accepted came to an end."""
        return all(story.state in TERMINAL for story in self.accepted)

    def end_of(self, process: str) -> Micros | None:
        """When a process died or exited."""
        end = self.ends.get(process)
        return None if end is None else end.at

    def _story(self, task_id: str) -> Story:
        if task_id not in self.stories:
            self.stories[task_id] = Story(task_id)
        return self.stories[task_id]

    def _enter(self, story: Story, state: State, at: Micros) -> None:
        if story.state is not None:
            self._states[story.state.value] -= 1
        self._states[state.value] += 1
        self._settled += state in TERMINAL
        story.state = state
        story.states.append((at, state))
        if state is not State.RUNNING and story.running is not None:
            story.running = None

    def _applied(self, event: Event) -> None:
        _, name, args, answer = event.data
        if isinstance(answer, Exception):
            return
        if name == "submit":
            self._submitted(event, args[0], answer)
        elif name == "claim":
            self._claimed(event, args[0], args[0].alone, answer)
        elif name == "pull":
            if not answer.again:
                self._claimed(event, args[0].claim, answer.alone, answer.attempts)
        elif name == "settle":
            for end, held in zip(args[0], answer, strict=True):
                self._settle(event, end, held)
        elif name in _ACTS:
            self._act(event, name, args)

    def _submitted(
        self, event: Event, asked: Sequence[Submission], answers: Sequence[Submitted]
    ) -> None:
        for submission, answer in zip(asked, answers, strict=True):
            story = self._story(submission.task_id)
            story.answers.append(Answered(event.at, submission, answer))
            if _accepted(answer):
                story.moves.append(Move(event.at, event.who, "accepted"))
                self._enter(story, State.QUEUED, event.at)

    def _claimed(self, event: Event, claim: Claim, alone: bool, answers: Sequence[Claimed]) -> None:
        taken = self._claims[event.data[0]] = []
        for claimed in answers:
            story = self._story(claimed.task_id)
            pulled = claim.claimant is Claimant.PULL
            attempt = Attempt(claimed, claim.worker, alone, event.at, pulled=pulled)
            taken.append(attempt)
            story.moves.append(Move(event.at, event.who, "claim", attempt))
            story.attempts[claimed.number] = self.tokens[claimed.token] = attempt
            self._enter(story, State.RUNNING, event.at)
            story.running = attempt

    def _settle(self, event: Event, end: Settlement, held: Settled) -> None:
        story, attempt = self._story(end.task_id), self.tokens.get(end.token)
        taken = end.submit if held is Settled.HELD else ()
        end = self._conflict(end) if held is Settled.CONFLICT else as_settled(end, held)
        what = "settle" if held else "refused"
        story.moves.append(Move(event.at, event.who, what, attempt, end))
        if held:
            self._fence(story, event.at)
            self._enter(story, AFTER[end.event], event.at)
        for one in taken:
            self._followed(event, end, one.submission)

    def _conflict(self, end: Settlement) -> Settlement:
        """How an attempt has ended whose follow-ups were in conflict."""
        for one in end.submit:
            story = self._story(one.submission.task_id)
            if story.state is not None and story.submission.digest != one.submission.digest:
                return one.conflict
        self.wrong.append((FOLLOWED, f"{end.task_id} died of a conflict that there is not"))
        return end.submit[0].conflict

    def _followed(self, event: Event, end: Settlement, new: Submission) -> None:
        story, verdict = self._story(new.task_id), Verdict.REPLAYED
        if story.state is None:
            verdict = Verdict.ACCEPTED
            story.moves.append(Move(event.at, event.who, "accepted"))
            self._enter(story, State.QUEUED, event.at)
        elif story.submission.digest != new.digest:
            self.wrong.append((FOLLOWED, f"{end.task_id} succeeded, and {new.task_id} is another"))
            return
        story.answers.append(Answered(event.at, new, Submitted(verdict)))

    def _follows(self, event: Event) -> None:
        task_id, number, ids = event.data
        self.follows[task_id, number] = ids

    def _fence(self, story: Story, at: Micros) -> None:
        if story.running is not None:
            story.running.fenced = at

    def _act(self, event: Event, name: str, args: tuple[Any, ...]) -> None:
        story, call = self._story(args[0]), args[-1].get("call")
        if call in story.calls:
            told = f"the {name} {call} of {story.task_id} was done twice"
            self.wrong.append(("3: what comes twice is done once", told))
        story.calls |= set() if call is None else {call}
        payload = args[3] if name == "redrive" and len(args) > 4 else None
        story.moves.append(Move(event.at, event.who, name, payload=payload))
        self._fence(story, event.at)
        self._enter(story, _ACTS[name], event.at)

    def _heard(self, event: Event) -> None:
        call, name, answer = event.data
        if name == "claim" and answer is not UNKNOWN:
            for attempt in self._claims.get(call, ()):
                attempt.heard = event.at

    def _given(self, event: Event) -> None:
        for task_id, number in event.data[1]:
            attempt = self._story(task_id).attempts.get(number)
            if attempt is None:
                told = f"attempt {number} of {task_id} was given, and is not recorded"
                self.wrong.append(("5: attempts are counted before they run", told))
            else:
                attempt.heard = event.at

    def _counts(self, event: Event) -> None:
        accepted, settled, states = event.data
        known = {state: n for state, n in self._states.items() if n}
        if accepted != sum(states.values()) or states != known or settled != self._settled:
            told = f"{accepted} accepted, {settled} settled, {states}; there are {known}"
            self.wrong.append(("8: it adds up", told))

    def _handler(self, event: Event) -> None:
        task_id, number, *more = event.data
        attempt = self._story(task_id).attempts.get(number)
        if attempt is None:
            told = f"attempt {number} of {task_id} {event.what}, and is not recorded"
            self.wrong.append(("5: attempts are counted before they run", told))
        elif event.what == "started":
            attempt.starts.append((event.at, event.who))
        elif event.what == "told":
            attempt.told.append(event.at)
        else:
            attempt.ended = event.at
            attempt.how, attempt.asked, attempt.excuse = more

    def _process(self, event: Event) -> None:
        if event.what in ("crashed", "exited"):
            self.ends[event.who] = event
        elif event.what == "drains":
            self.drains.setdefault(event.who, event.at)
        else:
            self.orders.setdefault(event.who, []).append(event.what)


_ACTS = {"cancel": State.CANCELLED, "discard": State.CANCELLED, "redrive": State.QUEUED}

_TAKE = {
    "applied": Facts._applied,
    "heard": Facts._heard,
    "given": Facts._given,
    "counts": Facts._counts,
    "started": Facts._handler,
    "told": Facts._handler,
    "follows": Facts._follows,
    "ended": Facts._handler,
    "crashed": Facts._process,
    "exited": Facts._process,
    "told to end": Facts._process,
    "leaving": Facts._process,
    "drains": Facts._process,
    "put down": Facts._process,
    "paused": Facts._process,
}
