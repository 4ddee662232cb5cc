"""The HTML report: one file, nothing from elsewhere, and no text of the user's acts in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from tests.prove.conftest import Proof
from tests.prove.test_account import noted
from unlost.cli.commands.prove.report import print_report
from unlost.prove.account import account
from unlost.prove.findings import BY_ONCE
from unlost.prove.journal import Kind
from unlost.prove.page import page
from unlost.prove.probing import Finding
from unlost.prove.report import Broken, Effects, Repeated, Report, Verdict

EVIL = "<script>alert(1)</script>\"' & \u202e\x1b"


class Tags(HTMLParser):
    """The tags of a page, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def evil(proof: Proof) -> Report:
    """A report in which every text that comes from outside is hostile."""
    evidence = noted(proof, Kind.EFFECT, "once-1", 1, EVIL)
    evidence = replace(evidence, notes=[*evidence.notes, evidence.notes[-1]])
    probed = [Finding(EVIL, {EVIL: 2}), Finding("once-2", fault=EVIL)]
    report = account(proof.plan, evidence, probed, EVIL)
    dead = replace(report.deaths[0], error_type=EVIL, sample=EVIL, task_ids=[EVIL])
    return replace(
        report,
        handler=EVIL,
        deaths=[dead],
        broken=[Broken("a promise", EVIL, EVIL)],
        verdict=Verdict.BROKEN,
    )


def test_every_text_is_escaped(proof: Proof) -> None:
    text = page(evil(proof))
    tags = Tags(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert text.count("&lt;script&gt;alert(1)") >= 8
    assert not {"\u202e", "\x1b"} & set(text)


def test_it_needs_no_other_host_and_no_script(proof: Proof) -> None:
    text = page(proof.account())
    assert not re.search(r"https?:|//|src=|href=|url\(|@import", text)
    assert "default-src 'none'" in text


def test_it_is_light_or_dark_as_the_reader_likes(proof: Proof) -> None:
    text = page(proof.account())
    assert "prefers-color-scheme: dark" in text
    assert "color-scheme: light dark" in text


def test_it_says_what_the_report_says(proof: Proof) -> None:
    report = proof.account()
    text = page(report)
    assert "Every promise held, and no effect was seen more than once." in text
    for blind in report.blind_spots:
        assert blind.split("'")[0] in text


def with_steps(proof: Proof, repeated: int) -> Report:
    """A proof whose handler has made steps, and declared nothing else."""
    report = proof.account()
    again = [Repeated(f"once-{n}", "once", "charge", 2, BY_ONCE, []) for n in range(repeated)]
    effects = Effects(0, None, [], [], [], steps=13, steps_repeated=again)
    return replace(report, effects=effects)


def test_steps_are_told_in_text_as_on_the_page(
    proof: Proof, capsys: pytest.CaptureFixture[str]
) -> None:
    report = with_steps(proof, 2)
    print_report(report)
    text = capsys.readouterr().out
    for told in ("13 runs of a step's function", "These ran again, since their record was lost"):
        assert told in text
        assert told in page(report).replace("&#x27;", "'")
    assert "charge  2" in text
    verdict = "Besides steps of task.once no effect was declared or probed."
    assert f"{verdict} Steps that ran again, under the same key: 2." in text
    print_report(with_steps(proof, 0))
    text = capsys.readouterr().out
    assert verdict in text
    assert "These ran again" not in text
    assert f"{verdict} Steps" not in text
