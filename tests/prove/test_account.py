"""Each promise, broken: the account says so."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from tests.prove.conftest import Proof
from unlost.prove.account import account
from unlost.prove.course import Evidence, read
from unlost.prove.fates import Fate
from unlost.prove.journal import Kind, Note
from unlost.prove.probing import Finding
from unlost.prove.report import Verdict, failure
from unlost.prove.submitting import Refusal
from unlost.task import SECOND, State


def promises(proof: Proof, evidence: Evidence) -> set[str]:
    report = proof.account(evidence)
    assert report.verdict is Verdict.BROKEN
    assert failure(report, allow_duplicates=True) == "a promise is broken"
    return {one.promise for one in report.broken}


def noted(proof: Proof, kind: Kind, task_id: str, number: int, what: str = "") -> Evidence:
    note = Note(kind, 1, 1, proof.evidence.ended_at, task_id, number, what)
    return replace(proof.evidence, notes=[*proof.evidence.notes, note])


@pytest.mark.parametrize(
    ("sql", "promise"),
    [
        ("DELETE FROM task WHERE id = 'once-3'", "nothing is lost"),
        ("DELETE FROM attempt", "attempts are counted"),
        ("DELETE FROM dead", "dead letters are the dead tasks"),
        ("UPDATE task SET attempt_count = 9 WHERE id = 'once-3'", "attempts are counted"),
    ],
)  # fmt: skip
def test_a_ledger_that_was_tampered_with_is_found_out(
    proof: Proof, tmp_path: Path, sql: str, promise: str
) -> None:
    shutil.copy(proof.folder / "ledger.db", tmp_path / "ledger.db")
    db = apsw.Connection(str(tmp_path / "ledger.db"))
    db.execute(sql)
    db.close()
    entries, found = asyncio.run(read(f"sqlite:///{tmp_path}/ledger.db"))
    assert promise in promises(proof, replace(proof.evidence, entries=entries, audit=found))


def test_a_success_whose_handler_never_returned(proof: Proof) -> None:
    notes = [note for note in proof.evidence.notes if note.kind is not Kind.ENDED]
    broken = promises(proof, replace(proof.evidence, notes=notes))
    assert broken == {"success means that the handler returned"}


def test_a_settlement_that_held_after_its_lease_was_taken_away(proof: Proof) -> None:
    evidence = noted(proof, Kind.HELD, "once-1", 1)
    assert promises(proof, evidence) == {"settled by exactly one attempt"}


def test_a_run_that_the_ledger_has_not_counted(proof: Proof) -> None:
    evidence = noted(proof, Kind.BEGAN, "once-1", 99, Fate.NONE)
    assert promises(proof, evidence) == {"attempts are counted before they run"}


def test_two_runs_of_one_attempt(proof: Proof) -> None:
    evidence = noted(proof, Kind.BEGAN, "once-1", 1, Fate.NONE)
    assert promises(proof, evidence) == {"an attempt is one run"}


def test_a_task_that_is_refused_or_taken_for_a_new_one(proof: Proof) -> None:
    refused = replace(proof.evidence, refusals=[Refusal("once-1", 409, "another")])
    assert promises(proof, refused) == {"one task per id"}
    taken = replace(proof.evidence, new_at_replay=["once-1"])
    assert promises(proof, taken) == {"one task per id"}


def test_a_death_that_nobody_reports(proof: Proof) -> None:
    silent = replace(proof.evidence, reported=frozenset())
    assert proof.account(silent).verdict is Verdict.PASSED, "there may still be time"
    later = replace(silent, ended_at=silent.ended_at + 60 * SECOND)
    assert promises(proof, later) == {"dead letters are reported"}


def test_a_service_that_ends_by_itself(proof: Proof) -> None:
    assert promises(proof, replace(proof.evidence, crashes=[1])) == {"the service goes on"}


def test_a_task_that_is_due_while_nothing_happens(proof: Proof) -> None:
    first, *others = proof.evidence.entries
    forgotten = replace(first.record, state=State.QUEUED, due_at=first.record.updated_at)
    evidence = replace(proof.evidence, entries=[replace(first, record=forgotten), *others])
    report = proof.account(evidence)
    assert report.verdict is Verdict.UNFINISHED
    assert failure(report, allow_duplicates=True) == "1 tasks had not ended within the time limit"
    later = replace(evidence, ended_at=evidence.ended_at + 60 * SECOND)
    assert promises(proof, later) == {"every task ends"}


def test_an_effect_twice_is_found_by_effect_and_by_probe(proof: Proof) -> None:
    evidence = noted(proof, Kind.EFFECT, "prints-0", 1, "said")
    evidence = replace(evidence, notes=[*evidence.notes, evidence.notes[-1]])
    probed = [Finding("prints-1", {"said": 3}), Finding("once-0", {"made": 1})]
    report = account(proof.plan, evidence, probed, "")
    assert report.verdict is Verdict.DUPLICATES
    found = [(one.task_id, one.effect, one.times, one.seen_by) for one in report.effects.repeated]
    assert found == [("prints-0", "said", 2, "effect"), ("prints-1", "said", 3, "probe")]
    assert failure(report, allow_duplicates=True) is None
    assert "2 of 30 tasks" in str(failure(report, allow_duplicates=False))


def test_a_success_without_the_effect_that_others_have_is_shown(proof: Proof) -> None:
    notes = [
        note
        for note in proof.evidence.notes
        if note.kind is not Kind.EFFECT or note.task_id != "once-2"
    ]
    report = proof.account(replace(proof.evidence, notes=notes))
    assert "once-2" in {one.task_id for one in report.effects.missing}
    assert report.verdict is Verdict.PASSED
