"""The settings as flags and variables of `serve`, `api` and `worker`."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tests.cli.conftest import Command
from unlost.settings import PLATFORM, Settings, flag, variable

NAMES = [item.name for item in fields(Settings)]

# No setting accepts a control character: neither as a number nor in a text.
WRONG = "\x01"


@pytest.mark.parametrize("command", ["serve", "api", "worker"])
def test_every_setting_has_its_flag_and_its_variable_in_the_help(
    unlost: Command, command: str
) -> None:
    text = unlost(command, "--help", COLUMNS="200").out
    for item in fields(Settings):
        assert f"{flag(item.name)} " in text
        assert variable(item.name) in text
        assert item.metadata["meaning"] in text
    for name in PLATFORM.values():
        assert f", {name}]" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_flag_stops_the_start_with_one_line(unlost: Command, name: str) -> None:
    result = unlost("serve", f"{flag(name)}={WRONG}")
    assert result.status == 2
    assert flag(name) in result.complaint


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_variable_stops_the_start_with_one_line(unlost: Command, name: str) -> None:
    result = unlost("worker", **{variable(name): WRONG})
    assert result.status == 2
    assert variable(name) in result.complaint


def test_the_platforms_wrong_variable_is_named(unlost: Command) -> None:
    assert "PORT must be" in unlost("api", PORT="http").complaint


def test_a_negative_value_is_a_value(unlost: Command) -> None:
    result = unlost("serve", "--seed", "-5", "--port", "-1")
    assert "--port must be 0 to 65535, not -1" in result.complaint


def test_nothing_is_made_when_a_setting_is_wrong(unlost: Command) -> None:
    unlost("serve", "--workers", "0")
    assert list(unlost.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--webhook-secret", "whsec_t0ken"], "--webhook-secret must be whsec_ and the base64"),
        (["--webhook-url", "https://me:t0ken@x.example/"], "--webhook-url must be an absolute URL"),
        (["--webhook-url", "http://x.example/t0ken"], "unless --webhook-allow-private is given"),
        (["--webhook-url", "https://127.0.0.1/t0ken"], "unless --webhook-allow-private is given"),
        (["--webhook-url", "https://x.example/t0ken"], "--webhook-url needs --webhook-secret"),
        (["--webhook-events", "cancelled"], "--webhook-events must be succeeded, dead, or both"),
    ],
)
def test_webhooks_that_cannot_be_meant_are_told_without_what_is_secret(
    unlost: Command, words: list[str], complaint: str
) -> None:
    result = unlost("serve", *words)
    assert result.status == 2
    assert complaint in result.complaint
    assert "t0ken" not in result.complaint
