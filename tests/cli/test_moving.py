"""`unlost export`, `unlost import` and `unlost purge`."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from msgspec import structs
from msgspec.structs import replace as changed

from tests.cli.conftest import Command
from tests.cli.ledgers import PAYLOAD, PLAIN, RESULT, cancel, furnish, idle, kept, restore
from tests.cli.terminal import at_terminal
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.moving.document import Numbered, Sum, Tail, line, read_part


@dataclass(frozen=True)
class Source:
    """A ledger, and its export as a file."""

    url: str
    file: Path

    @property
    def lines(self) -> list[bytes]:
        return self.file.read_bytes().splitlines(keepends=True)

    @property
    def digest(self) -> str:
        return str(json.loads(self.lines[-1])["digest"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source")
    url = f"sqlite:///{folder}/ledger.db"
    asyncio.run(furnish(url))
    source = Source(url, folder / "all.ndjson")
    assert Command(folder, {})("export", "--ledger", url, "--out", str(source.file)).status == 0
    return source


@pytest.fixture
def source(made: Source, tmp_path: Path) -> Source:
    """With a file that the test may spoil."""
    return replace(made, file=Path(shutil.copy(made.file, tmp_path / "all.ndjson")))


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/target.db"


def rewritten(lines: list[bytes], *tasks: Numbered) -> bytes:
    """The head, these tasks, and a last line that is right."""
    seen = Sum()
    for one in tasks:
        seen.add(one.task)
    return b"".join([lines[0], *map(line, tasks), line(seen.tail())])


def task_line(text: bytes) -> Numbered:
    found = read_part(text, 1)
    assert isinstance(found, Numbered)
    return found


def test_a_ledger_comes_over_whole(unlost: Command, source: Source, target: str) -> None:
    result = unlost("import", str(source.file), "--ledger", target)
    assert (result.status, result.err) == (0, "")
    assert f"{PLAIN + 12} tasks imported, 0 were there, digest {source.digest}" in result.out
    assert "every promise holds" in result.out
    assert kept(target) == kept(source.url)
    assert unlost("audit", "--ledger", target).status == 0


def test_the_texts_stand_in_the_file_as_they_were_sent(source: Source) -> None:
    head, *tasks, tail = source.lines
    assert json.loads(head)["home"] == "sqlite"
    assert len(tasks) == PLAIN + 12 == json.loads(tail)["tasks"]
    later = next(one for one in tasks if b'"taskId":"later"' in one)
    assert f'"payload":{PAYLOAD}'.encode() in later
    redriven = next(one for one in tasks if b'"taskId":"redriven"' in one)
    assert f'"payload":{PAYLOAD},"result":{RESULT}'.encode() in redriven


def test_a_pipe_does_as_well(unlost: Command, source: Source, target: str) -> None:
    exported = unlost("export", "--ledger", source.url)
    assert exported.out.encode().splitlines(keepends=True)[1:] == source.lines[1:]
    result = unlost.fed(exported.out.encode(), "import", "-", "--ledger", target, "--json")
    assert result.status == 0, result.err
    told = json.loads(result.out)
    assert (told["tasks"], told["replayed"], told["digest"]) == (PLAIN + 12, 0, source.digest)
    assert told["audit"]["ok"]
    assert kept(target) == kept(source.url)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.77, 0.9999])
def test_an_export_goes_on_where_it_was_cut(
    unlost: Command, source: Source, tmp_path: Path, share: float
) -> None:
    whole = source.file.read_bytes()
    (tmp_path / "b.ndjson.part").write_bytes(whole[: int(len(whole) * share)])
    result = unlost("export", "--ledger", source.url, "--out", "b.ndjson", "--json")
    assert result.status == 0
    assert json.loads(result.out)["digest"] == source.digest
    again = (tmp_path / "b.ndjson").read_bytes().splitlines(keepends=True)
    assert again[1:] == source.lines[1:]
    assert (again[0] == source.lines[0]) is (share > 0.001)
    assert not (tmp_path / "b.ndjson.part").exists()


def test_an_export_never_goes_on_with_that_of_another_ledger(
    unlost: Command, source: Source, tmp_path: Path, target: str
) -> None:
    unlost("import", str(source.file), "--ledger", target)
    part = tmp_path / "b.ndjson.part"
    part.write_bytes(source.lines[0] + line(changed(task_line(source.lines[1]), position="77")))
    complaint = unlost("export", "--ledger", target, "--out", "b.ndjson").complaint
    assert "not a part of this ledger's export" in complaint
    part.write_bytes(b"something of mine\n")
    assert "remove it" in unlost("export", "--ledger", target, "--out", "b.ndjson").complaint
    assert part.read_bytes() == b"something of mine\n"


def test_no_file_is_overwritten(unlost: Command, source: Source) -> None:
    before = source.file.read_bytes()
    result = unlost("export", "--ledger", source.url, "--out", str(source.file))
    assert result.status == 1
    assert "is there already" in result.complaint
    assert source.file.read_bytes() == before


def test_an_export_that_wrote_nothing_leaves_nothing(unlost: Command, tmp_path: Path) -> None:
    assert unlost("export", "--ledger", "sqlite:///none.db", "--out", "e.ndjson").status == 1
    assert not list(tmp_path.glob("e.ndjson*"))


def test_an_export_says_that_tasks_were_running(
    unlost: Command, source: Source, tmp_path: Path
) -> None:
    result = unlost("export", "--ledger", source.url, "--out", "b")
    assert result.err.startswith("warning: tasks ran or changed meanwhile")
    asyncio.run(idle(f"sqlite:///{tmp_path}/idle.db"))
    result = unlost("export", "--ledger", "sqlite:///idle.db", "--out", "c")
    assert (result.status, result.err) == (0, "")


@pytest.mark.parametrize("there", [1, 60, PLAIN + 12])
def test_an_import_goes_on_after_what_is_there(
    unlost: Command, source: Source, target: str, there: int
) -> None:
    asyncio.run(restore(target, kept(source.url)[:there]))
    result = unlost("import", str(source.file), "--ledger", target, "--json")
    assert result.status == 0, result.err
    assert json.loads(result.out)["replayed"] == there
    assert kept(target) == kept(source.url)


def test_an_import_goes_on_where_its_pipe_broke_off(unlost: Command, target: str) -> None:
    asyncio.run(idle(f"sqlite:///{unlost.folder}/many.db", 1_200))
    lines = unlost("export", "--ledger", "sqlite:///many.db").out.encode().splitlines(True)
    cut = unlost.fed(b"".join(lines[:1_101]), "import", "-", "--ledger", target)
    assert cut.status == 1
    assert "it breaks off: the last line is missing; 1000 tasks are in" in cut.complaint
    result = unlost.fed(b"".join(lines), "import", "-", "--ledger", target, "--json")
    assert result.status == 0, result.err
    assert json.loads(result.out)["replayed"] == 1_000
    assert unlost("export", "--ledger", target).out.encode().splitlines(True)[-1] == lines[-1]


def test_an_import_that_is_done_can_be_run_again(
    unlost: Command, source: Source, target: str
) -> None:
    once, twice = (
        unlost("import", str(source.file), "--ledger", target, "--json") for _ in range(2)
    )
    assert (once.status, twice.status) == (0, 0)
    assert json.loads(twice.out)["replayed"] == PLAIN + 12


def spoil(source: Source, how: str) -> None:
    lines = source.lines
    if how == "altered":
        lines[3] = lines[3].replace(b'"attemptCount":1', b'"attemptCount":2')
    elif how == "left out":
        del lines[5]
    elif how == "truncated":
        del lines[-1]
    elif how == "torn":
        lines[-1] = lines[-1][:-2]
    elif how == "swapped":
        lines[4], lines[5] = lines[5], lines[4]
    elif how == "extended":
        lines.append(lines[-1])
    elif how == "newer":
        lines[0] = lines[0].replace(b'"version":1', b'"version":2')
    elif how == "another":
        lines = [b'{"taskId":"a"}\n']
    assert b"".join(lines) != source.file.read_bytes()
    source.file.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    "how",
    ["altered", "left out", "truncated", "torn", "swapped", "extended", "newer", "another"],
)
def test_a_file_that_is_not_whole_changes_nothing(
    unlost: Command, source: Source, tmp_path: Path, target: str, how: str
) -> None:
    spoil(source, how)
    result = unlost("import", str(source.file), "--ledger", target)
    assert result.status == 1
    assert result.complaint.endswith("nothing was imported")
    assert not (tmp_path / "target.db").exists()


def test_a_pipe_that_was_altered_is_refused_at_its_end(
    unlost: Command, source: Source, target: str
) -> None:
    spoil(source, "altered")
    result = unlost.fed(source.file.read_bytes(), "import", "-", "--ledger", target)
    assert result.status == 1
    assert "it was altered" in result.complaint


def test_a_ledger_with_other_tasks_is_left_alone(
    unlost: Command, source: Source, tmp_path: Path, target: str
) -> None:
    asyncio.run(idle(target))
    before = kept(target)
    result = unlost("import", str(source.file), "--ledger", target)
    assert result.status == 1
    assert "import into an empty one" in result.complaint
    assert kept(target) == before


def test_a_ledger_that_went_on_by_itself_is_left_alone(
    unlost: Command, source: Source, target: str
) -> None:
    unlost("import", str(source.file), "--ledger", target)
    asyncio.run(cancel(target, "later"))
    result = unlost("import", str(source.file), "--ledger", target)
    assert result.status == 1
    assert "are not the first of this export" in result.complaint


def test_two_tasks_of_one_id_are_a_conflict(unlost: Command, source: Source, target: str) -> None:
    first = task_line(source.lines[1])
    other = changed(first.task, digest="00" * 32)
    source.file.write_bytes(rewritten(source.lines, first, Numbered(f"{first.position}0", other)))
    result = unlost("import", str(source.file), "--ledger", target)
    assert result.status == 1
    assert f"another task has the id {other.task_id} already" in result.complaint


def test_the_digest_depends_on_every_task_and_on_no_order(source: Source) -> None:
    tasks = [task_line(text).task for text in source.lines[1:-1]]
    forward, backward, less = Sum(), Sum(), Sum()
    for one in tasks:
        forward.add(one)
    for one in reversed(tasks):
        backward.add(one)
    for one in [*tasks[1:], tasks[1]]:
        less.add(one)
    assert forward == backward
    assert forward.tail() == Tail(len(tasks), source.digest, effect_keys=forward.effect_keys)
    assert forward.effect_keys == backward.effect_keys
    assert less.digest != source.digest


def test_effect_keys_that_were_altered_are_refused_and_earlier_exports_have_none(
    unlost: Command, source: Source, target: str
) -> None:
    head, *tasks, tail = source.lines
    there = next(one for one in tasks if b'"effectKey"' in one)
    key = task_line(there).task.effect_key
    assert key is not None
    text = b"".join([head, *tasks, tail]).replace(key.encode(), key[::-1].encode())
    source.file.write_bytes(text)
    result = unlost("import", str(source.file), "--ledger", target)
    assert result.status == 1
    assert "its tasks' effect keys are not those" in result.complaint
    earlier = [with_key(task_line(one), None) for one in tasks]
    source.file.write_bytes(rewritten(source.lines, *earlier))
    result = unlost("import", str(source.file), "--ledger", target)
    assert (result.status, result.err) == (0, "")


def with_key(one: Numbered, effect_key: str | None) -> Numbered:
    """The task with another effect key."""
    return structs.replace(one, task=structs.replace(one.task, effect_key=effect_key))


def test_postgres_and_back(unlost: Command, source: Source, target: str, postgres: Server) -> None:
    with Database(postgres) as database:
        there = unlost("import", str(source.file), "--ledger", database.url, "--json")
        assert there.status == 0, there.err
        back = unlost("export", "--ledger", database.url, "--out", "back.ndjson", "--json")
        assert database.server.password not in back.out + back.err
    assert back.status == 0, back.err
    home = unlost("import", "back.ndjson", "--ledger", target, "--json")
    assert home.status == 0, home.err
    digests = [json.loads(one.out)["digest"] for one in (there, back, home)]
    assert digests == [source.digest] * 3


def test_a_bar_is_shown_on_a_terminal(unlost: Command, source: Source, target: str) -> None:
    with at_terminal(unlost, "import", str(source.file), "--ledger", target) as person:
        person.wait_for("132 tasks checked (")
        person.wait_for("132 tasks imported (")
        person.wait_for("every promise holds")
        assert person.close() == 0


def test_the_ledger_may_come_from_the_environment(unlost: Command, source: Source) -> None:
    result = unlost("export", UNLOST_LEDGER=source.url)
    assert result.status == 0
    assert result.out.count("\n") == PLAIN + 14
