"""`unlost doctor`: what it finds, what it leaves alone, what it never shows."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import socket
from pathlib import Path
from typing import Any

import apsw
import pytest
import tzdata

from tests.aws.emulator import Emulator
from tests.cli.conftest import Command
from tests.cli.ledgers import idle
from tests.cli.running import Place
from tests.cli.scripted import Reply, scripted
from tests.ledger.tables import Table
from tests.postgres.databases import empty
from tests.postgres.roles import MINE, Tenant
from tests.postgres.server import Server
from unlost.cli.commands.doctor import machine
from unlost.cli.commands.doctor.finding import Health
from unlost.cli.text import masked

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:42 / /mnt/team\\040files rw - nfs4 server:/x rw
31 22 0:43 / /tmp rw - tmpfs tmpfs rw
"""


def found(unlost: Command, *words: str, status: int = 0, **variables: str) -> dict[str, Any]:
    """What doctor says, as JSON; each check by its name."""
    result = unlost("doctor", "--json", *words, **variables)
    assert result.status == status, result.out
    told: dict[str, Any] = json.loads(result.out)
    assert told["ok"] == (status == 0)
    return {one["check"]: one for one in told["checks"]} | told


def test_it_tells_each_setting_and_where_it_comes_from(unlost: Command) -> None:
    told = found(
        unlost, "--port", "0", "--grace", "3", UNLOST_WORKERS="2", PORT="9", UNLOST_LEASE="20"
    )
    settings = {one["name"]: (one["value"], one["source"]) for one in told["settings"]}
    assert settings["grace"] == (3.0, "--grace")
    assert settings["port"] == (0, "--port")
    assert settings["workers"] == (2, "UNLOST_WORKERS")
    assert settings["lease"] == (20.0, "UNLOST_LEASE")
    assert settings["concurrency"] == (32, "default")
    sources = {one["name"]: one["source"] for one in found(unlost, PORT="0")["settings"]}
    assert sources["port"] == "PORT"


def test_every_wrong_setting_is_told_at_once(unlost: Command) -> None:
    told = found(unlost, "--workers", "0", "--port", "0", status=1, UNLOST_LEASE="soon")
    wrong = [one["detail"] for one in told["checks"] if one["check"] == "settings"]
    assert len(wrong) == 2
    assert any("--workers must be 1 to 256" in one for one in wrong)
    assert any("UNLOST_LEASE must be a number" in one for one in wrong)


def test_it_tells_by_which_time_zones_schedules_go(unlost: Command) -> None:
    zones = found(unlost, "--port", "0")["time zones"]
    assert zones["health"] == "ok"
    assert f"tzdata {tzdata.IANA_VERSION}," in zones["detail"]


def test_nothing_is_made_where_there_is_no_ledger(unlost: Command) -> None:
    told = found(unlost, "--port", "0")
    assert told["ledger"]["health"] == "note"
    assert told["wouldServe"][0] == "make the ledger sqlite:///unlost.db"
    (unlost.folder / "empty.db").touch()
    assert (
        "none at"
        in found(unlost, "--port", "0", "--ledger", "sqlite:///empty.db")["ledger"]["detail"]
    )
    assert [path.name for path in unlost.folder.iterdir()] == ["empty.db"]
    assert (unlost.folder / "empty.db").stat().st_size == 0


def test_a_sound_ledger_opens_answers_a_write_and_adds_up(unlost: Command) -> None:
    asyncio.run(idle(f"sqlite:///{unlost.folder}/unlost.db", 3))
    told = found(unlost, "--port", "0")
    assert "answered a write in" in told["ledger"]["detail"]
    assert told["sums"]["detail"].startswith("3 accepted, 0 lost")
    assert told["ledger clock"]["health"] == "ok"
    assert told["wouldServe"][0] == "open sqlite:///unlost.db"


def test_sums_that_do_not_add_up_fail(unlost: Command) -> None:
    path = unlost.folder / "unlost.db"
    asyncio.run(idle(f"sqlite:///{path}"))
    db = apsw.Connection(str(path))
    db.execute("UPDATE tally SET accepted = accepted + 1")
    db.close()
    assert "3 accepted, 1 lost" in found(unlost, "--port", "0", status=1)["sums"]["detail"]


def test_an_older_ledger_is_not_migrated(unlost: Command) -> None:
    path = unlost.folder / "unlost.db"
    asyncio.run(idle(f"sqlite:///{path}"))
    db = apsw.Connection(str(path))
    db.execute("PRAGMA user_version = 1; PRAGMA journal_mode = DELETE")
    db.close()
    before = path.read_bytes()
    told = found(unlost, "--port", "0")
    assert "schema 1, which a service brings to" in told["ledger"]["detail"]
    assert "bring it from schema 1" in told["wouldServe"][0]
    assert path.read_bytes() == before


def test_handlers_that_take_longer_to_import_than_a_start_may_fail(unlost: Command) -> None:
    (unlost.folder / "hangs.py").write_text("import time; time.sleep(3600)")
    words = ("--port", "0", "--handler", "hangs:handler", "--start-timeout", "1")
    told = found(unlost, *words, status=1)
    assert told["handler"]["detail"] == "hangs:handler was not imported within 1 s"


@pytest.mark.parametrize("content", ["text", "database"])
def test_what_is_no_ledger_fails_and_stays_as_it_is(unlost: Command, content: str) -> None:
    path = unlost.folder / "unlost.db"
    if content == "text":
        path.write_text("not a database\n" * 99)
    else:
        db = apsw.Connection(str(path))
        db.execute("CREATE TABLE t (a)")
        db.close()
    before = path.read_bytes()
    assert "is not an unlost ledger" in found(unlost, "--port", "0", status=1)["ledger"]["detail"]
    assert path.read_bytes() == before
    assert [one.name for one in unlost.folder.iterdir()] == ["unlost.db"]


def test_a_clock_that_was_set_back_is_noted(unlost: Command) -> None:
    path = unlost.folder / "unlost.db"
    asyncio.run(idle(f"sqlite:///{path}"))
    db = apsw.Connection(str(path))
    db.execute("UPDATE task SET submitted_at = submitted_at + 100 * 365 * 86400 * 1000000")
    db.close()
    clock = found(unlost, "--port", "0")["ledger clock"]
    assert clock["health"] == "note"
    assert "set back" in clock["detail"]


def test_a_database_without_a_ledger_gets_none(unlost: Command, postgres: Server) -> None:
    url = empty(postgres, "without_a_ledger")
    for _ in range(2):
        told = found(unlost, "--port", "0", "--ledger", url)
        assert "there is none" in told["ledger"]["detail"]
    asyncio.run(idle(url))
    told = found(unlost, "--port", "0", "--ledger", url)
    assert told["sums"]["detail"].startswith("2 accepted, 0 lost")
    assert told["ledger clock"]["detail"].endswith("s against this machine's")
    assert "disk space" not in told


def test_a_role_that_may_not_make_the_tables_fails(unlost: Command, postgres: Server) -> None:
    tenant = Tenant(postgres, "doctored")
    told = found(unlost, "--port", "0", "--ledger", tenant.app, status=1)
    assert "GRANT CREATE ON DATABASE doctored TO app" in told["ledger"]["detail"]
    assert told["wouldServe"] == ["nothing: what failed above has to be mended first"]


def test_a_role_that_may_not_submit_fails_until_it_has_what_it_is_told(
    unlost: Command, postgres: Server
) -> None:
    tenant = Tenant(postgres, "doctored")
    asyncio.run(tenant.made())
    tenant.do(*MINE, "REVOKE ALL ON SEQUENCE unlost.task_seq_seq FROM app")
    words = ("--port", "0", "--ledger", tenant.app)
    told = found(unlost, *words, status=1)["ledger"]["detail"]
    assert tenant.told(told) == ["GRANT USAGE ON SEQUENCE unlost.task_seq_seq TO app"]
    started = unlost("api", *words)
    assert (started.status, tenant.told(started.err)) == (1, tenant.told(told))
    tenant.do(*tenant.told(told))
    assert "answered a write" in found(unlost, *words)["ledger"]["detail"]


def test_defaults_that_do_harm_are_named_with_what_takes_them_back(
    unlost: Command, postgres: Server
) -> None:
    tenant = Tenant(postgres, "doctored")
    asyncio.run(tenant.made())
    tenant.do(
        *MINE,
        "ALTER ROLE app SET idle_session_timeout = '5s'",
        "ALTER DATABASE doctored SET statement_timeout = '5s'",
        "ALTER ROLE app SET lock_timeout = '5s'",  # which is overruled
    )
    words = ("--port", "0", "--ledger", tenant.app)
    notes = [one["detail"] for one in found(unlost, *words)["checks"] if one["check"] == "database"]
    assert [tenant.told(one) for one in notes] == [
        ["ALTER ROLE app RESET idle_session_timeout"],
        ["ALTER DATABASE doctored RESET statement_timeout"],
        ["GRANT MAINTAIN ON unlost.open_task TO app"],
    ]
    tenant.do(*(sql for one in notes for sql in tenant.told(one)))
    assert "database" not in found(unlost, *words)
    tenant.do("ALTER ROLE app SET default_transaction_read_only = on")
    told = found(unlost, *words, status=1)["ledger"]["detail"]
    assert tenant.told(told) == ["ALTER ROLE app RESET default_transaction_read_only"]


def test_a_table_answers_a_write_too(unlost: Command, emulator: Emulator) -> None:
    names = {name: value for name, value in emulator.environment.items() if name[:4] == "AWS_"}
    client = Command(unlost.folder, names)
    with Table(emulator.url) as table:
        told = found(client, "--port", "0", "--ledger", f"dynamodb://{table.name}")
        assert "answered a write" in told["ledger"]["detail"]
        assert told["sums"]["detail"].startswith("0 accepted, 0 lost")
    told = found(client, "--port", "0", "--ledger", "dynamodb://none", status=1)
    assert told["ledger"]["health"] == "fail"


def test_no_password_is_ever_shown(unlost: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"postgresql://ann:s3c@r/e t@127.0.0.1:{port}/db?password=s3cret2"
    for words in ([], ["--json"]):
        result = unlost("doctor", "--port", "0", *words, UNLOST_LEDGER=url)
        assert result.status == 1
        for secret in ("s3c", "e t@", "s3cret2"):
            assert secret not in result.out + result.err
    bad = unlost("doctor", "--port", "0", "--ledger", "x://u:s3cret@h\x01")
    assert "s3cret" not in bad.out + bad.err
    assert masked("see sqlite:///a.db and http://h/?x=1") == "see sqlite:///a.db and http://h/?x=1"


def test_no_secret_of_webhooks_is_ever_shown(unlost: Command) -> None:
    secret = "whsec_" + "c2VjcmV0" * 4
    for word, status in (("https://example.com/t0ken", 0), ("http://example.com/t0ken", 1)):
        words = ("--port", "0", "--webhook-url", word)
        told = found(unlost, *words, status=status, UNLOST_WEBHOOK_SECRET=secret)
        assert "c2VjcmV0" not in str(told)
        assert "t0ken" not in str(told)
        shown = {one["name"]: one["value"] for one in told["settings"]}
        assert (shown["webhook-secret"], shown["webhook-url"]) == ("(set)", "(set)")


def test_handlers_are_imported_and_told_with_their_limits(unlost: Command) -> None:
    (unlost.folder / "doctored.py").write_text(
        "from unlost import Handlers\n"
        "print('imported')\n"
        "handlers = Handlers()\n"
        "@handlers.task('mail', max_retries=5, timeout=20)\n"
        "async def send(task): ...\n"
        "@handlers.task('sms')\n"
        "def text(task): ...\n"
    )
    result = unlost.fed(b"", "doctor", "--json", "--port", "0", "--handler", "doctored:handlers")
    checks = {one["check"]: one for one in json.loads(result.out)["checks"]}
    assert checks["handler"]["detail"] == (
        "doctored:handlers serves mail (5 retries, 20 s), sms (2 retries, 300 s)"
    )


def test_a_handler_that_cannot_be_imported_fails(unlost: Command) -> None:
    told = found(unlost, "--port", "0", "--handler", "nowhere:handlers", status=1)
    assert "there is no module 'nowhere'" in told["handler"]["detail"]
    assert told["wouldServe"] == ["nothing: what failed above has to be mended first"]


def test_a_service_that_is_there_already_is_no_failure(unlost: Command, service: Place) -> None:
    told = found(unlost, "--port", str(service.port))
    assert "a service is on 127.0.0.1 port" in told["port"]["detail"]
    assert told["wouldServe"] == ["nothing: a service is there already"]


def test_a_port_that_something_else_has_is_a_failure(unlost: Command) -> None:
    with scripted(Reply(404)) as script:
        port = script.url.rpartition(":")[2]
        told = found(unlost, "--port", port, status=1)
    assert "something else than unlost" in told["port"]["detail"]
    assert found(unlost, "--port", port)["port"]["detail"].endswith("is free")


def test_a_person_reads_the_same(unlost: Command) -> None:
    result = unlost("doctor", "--port", "0")
    assert result.status == 0
    for text in ("disk sync", "a sync takes", "`unlost serve` would", "- listen on 127.0.0.1"):
        assert text in result.out
    failed = unlost("doctor", "--port", "0", "--workers", "0")
    assert failed.complaint == "unlost: 1 check failed: settings"


# The machine, as it may be elsewhere


def test_a_file_system_is_known_by_where_it_is_mounted() -> None:
    for folder, kind in (("/home/x", "ext4"), ("/mnt/team files/a", "nfs4"), ("/tmp", "tmpfs")):
        assert machine.kind_of(Path(folder), MOUNTS) == kind
    assert machine.kind_of(Path("/home"), "") is None


def test_a_file_system_that_machines_share_fails_and_one_in_memory_is_noted(tmp_path: Path) -> None:
    def health(kind: str) -> Health:
        mounts = f"1 0 0:1 / / rw - {kind} x rw\n"
        return list(machine.disk(tmp_path / "unlost.db", mounts))[-1].health

    assert health("nfs4") is health("cifs") is Health.FAIL
    assert health("tmpfs") is Health.NOTE
    assert health("ext4") is Health.OK
    assert not any(tmp_path.iterdir())


def test_a_clock_that_jumps_or_stands_still_is_told() -> None:
    def graded(wall: list[float], monotonic: list[float]) -> Health:
        times, ticks = iter(wall), iter(monotonic)
        return machine.clock(lambda: next(times), lambda: next(ticks), lambda _: None).health

    assert graded([100, 100.05], [1, 1.05]) is Health.OK
    assert graded([100, 40], [1, 1.05]) is Health.NOTE
    assert graded([100, 100.05], [1, 1]) is Health.FAIL


def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1024))
    assert next(iter(machine.disk(tmp_path / "x.db"))).health is Health.FAIL


def test_a_disk_on_which_submits_are_refused_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=150 * 1024**2))
    for least, health in ((200.0, Health.FAIL), (100.0, Health.NOTE), (0.0, Health.NOTE)):
        found = next(iter(machine.disk(tmp_path / "x.db", min_free=least)))
        assert found.health is health
        assert ("--min-free" in found.detail) is (health is Health.FAIL)


def test_too_few_open_files_are_noted_with_how_many_connections_there_may_be() -> None:
    assert machine.open_files(2_000, 4_096).health is Health.OK
    assert machine.open_files(2_000, resource.RLIM_INFINITY).health is Health.OK
    few = machine.open_files(2_000, 1_024)
    assert few.health is Health.NOTE
    assert "824 connections, not 2000" in few.detail


def test_what_lies_between_is_asked_about_without_settings(unlost: Command, service: Place) -> None:
    result = unlost("doctor", "--json", "--url", service.url)
    told = json.loads(result.out)
    assert (result.status, told["ok"], told["url"]) == (0, True, service.url)
    assert {one["check"]: one["health"] for one in told["checks"]} == dict.fromkeys(
        ["reached", "name and key", "own pages", "other pages", "encoded ids", "events",
         "events, gzip", "large bodies"], "ok",
    )  # fmt: skip
    assert "large bodies" in unlost("doctor", "--url", service.url).out
    assert unlost("doctor", "--url", service.url, "--port", "1").status == 2


def test_where_nothing_answers_from_afar_that_is_all(unlost: Command) -> None:
    result = unlost("doctor", "--json", "--url", "http://127.0.0.1:1")
    assert result.status == 1
    assert [one["check"] for one in json.loads(result.out)["checks"]] == ["reached"]


def told_of_access(unlost: Command, *words: str) -> tuple[str, str]:
    checks = found(unlost, "--port", "0", *words)["checks"]
    [one] = [one for one in checks if one["check"] == "access"]
    return one["health"], one["detail"]


def test_it_tells_who_could_get_in(unlost: Command) -> None:
    health, told = told_of_access(unlost)
    assert health == "ok"
    assert "on this machine needs no key" in told
    assert told_of_access(unlost, "--auth", "none")[0] == "ok"
    health, told = told_of_access(unlost, "--auth", "none", "--host", "0.0.0.0")
    assert health == "note"
    assert "whoever reaches 0.0.0.0 needs no key" in told
    health, told = told_of_access(unlost, "--host", "0.0.0.0")
    assert (health, told.partition(":")[0]) == ("note", "nobody")
    secret = unlost.folder / "secret"
    secret.write_text(f"unlost_{'x' * 43}")
    create = ("key", "create", "--ledger", "sqlite:///unlost.db", "--scope", "read,submit")
    assert unlost(*create, "--name", "ops", "--secret-file", "secret").status == 0
    assert unlost(*create, "--name", "shop", "--type", "mail").status == 0
    assert unlost(*create, "--name", "gone").status == 0
    unlost("key", "revoke", "gone", "--ledger", "sqlite:///unlost.db")
    health, told = told_of_access(unlost, "--auth", "keys")
    assert health == "ok"
    assert told == "who has one of 2 keys: ops may read, submit; shop may read, submit of mail"
