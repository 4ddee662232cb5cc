"""A proof with everything injected: real processes, real kills, and an account that adds up."""

from __future__ import annotations

import json

import psutil

from tests.prove.conftest import COUNTS, Proof
from unlost.prove.fates import FAILURES, KILLS, OVERTAKINGS, Fate
from unlost.prove.journal import Kind
from unlost.prove.report import Cause, Verdict
from unlost.prove.spec import Spec
from unlost.task import State


def test_good_handlers_pass_whatever_is_injected(proof: Proof) -> None:
    report = proof.account()
    assert report.broken == []
    assert report.effects.repeated == []
    assert report.verdict is Verdict.PASSED
    sums = report.sums
    assert (sums.submitted, sums.dead, sums.unfinished, sums.lost) == (
        sum(COUNTS.values()),
        2,
        0,
        0,
    )
    assert sums.succeeded == sums.submitted - sums.dead


def test_everything_that_can_be_injected_was(proof: Proof) -> None:
    told = proof.account().injections
    for kinds in (FAILURES, KILLS, OVERTAKINGS, (Fate.ANSWER_LOST,)):
        assert sum(told.attempts[kind] for kind in kinds) > 0, kinds
    assert told.attempts[Fate.TREE_KILLED] == 2
    assert told.restarts >= 1
    assert told.late_settlements_refused > 0
    assert told.submit_answers_lost > 0


def test_what_was_injected_is_what_the_seed_says(proof: Proof) -> None:
    spec: Spec = proof.plan.spec(proof.folder)
    began = [note for note in proof.evidence.notes if note.kind is Kind.BEGAN]
    assert began
    for note in began:
        planned = {spec.fate(note.task_id, note.number, last=last) for last in (False, True)}
        if note.task_id in spec.tree_killers:
            planned.add(Fate.TREE_KILLED)
        assert note.what in planned


def test_attempts_are_counted_by_cause(proof: Proof) -> None:
    attempts = proof.account().attempts
    assert list(attempts) == [cause.value for cause in Cause]
    in_ledger = sum(len(entry.record.attempts) for entry in proof.evidence.entries)
    assert sum(attempts.values()) == in_ledger
    assert attempts["failedByItself"] >= 2
    assert attempts["failedByInjection"] > 0
    assert attempts["lostToKill"] > 0
    assert attempts["lostToRestart"] >= 2
    assert attempts["lostLease"] > 0
    assert attempts["timedOut"] == attempts["running"] == 0


def test_a_handler_that_always_fails_has_dead_tasks_and_breaks_no_promise(proof: Proof) -> None:
    deaths = {one.error_type: one for one in proof.account().deaths}
    assert deaths["Reject"].task_ids == ["rejects-0"]
    assert (deaths["ValueError"].count, deaths["ValueError"].sample) == (1, "no fails-0")
    assert proof.evidence.reported == {"rejects-0", "fails-0"}


def test_waits_that_a_handler_asks_for_are_cut_short(proof: Proof) -> None:
    states = {entry.record.task_id: entry.record.state for entry in proof.evidence.entries}
    assert states["asks to wait-0"] is State.SUCCEEDED
    assert proof.evidence.seconds < 120


def test_what_a_handler_prints_goes_to_the_log(proof: Proof) -> None:
    lines = [json.loads(line) for line in (proof.folder / "log.ndjson").read_text().splitlines()]
    printed = {line["text"] for line in lines if line["event"] == "handler.output"}
    assert {"words on stdout", "and on stderr"} <= printed


def test_no_process_is_left(proof: Proof) -> None:
    pids = {note.pid for note in proof.evidence.notes} - {psutil.Process().pid}
    assert pids
    living = {
        one.pid: " ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])
    }
    assert not [pid for pid in pids if "unlost" in living.get(pid, "")]
