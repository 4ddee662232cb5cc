"""Metrics as text: Prometheus' own form and OpenMetrics, and which of them a scraper wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, Literal

import msgspec

from unlost.task import SECOND
from unlost.telemetry.measures import BOUNDS, Histogram

Labels = tuple[tuple[str, str], ...]


class Sample(msgspec.Struct, frozen=True):
    """A number, or a histogram of durations, and what it is of."""

    value: float | Histogram
    labels: Labels = ()


class Family(msgspec.Struct, frozen=True):
    """A metric: its name (a counter's with `_total`), what it says, and its samples."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    samples: Sequence[Sample]


class Form(msgspec.Struct, frozen=True):
    """A form of text.  `version` is the one that a scraper names."""

    media_type: str
    version: str

    @property
    def content_type(self) -> str:
        """What an answer in this form is called."""
        return f"{self.media_type}; version={self.version}; charset=utf-8"


PROMETHEUS: Final = Form("text/plain", "0.0.4")
OPENMETRICS: Final = Form("application/openmetrics-text", "1.0.0")

_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?")


def wanted(accept: str) -> Form:
    """The form that an `Accept` header asks for; whatever it says, scrapers read Prometheus'."""
    openmetrics = _quality(accept, OPENMETRICS, (OPENMETRICS.media_type,))
    prometheus = _quality(accept, PROMETHEUS, (PROMETHEUS.media_type, "text/*", "*/*"))
    return OPENMETRICS if openmetrics and openmetrics >= prometheus else PROMETHEUS


def _quality(accept: str, form: Form, names: Sequence[str]) -> float:
    """How much a form is wanted, by the most exact name that the header has for it."""
    qualities: dict[str, float] = {}
    for offer in accept.lower().split(","):
        name, *rest = (part.strip() for part in offer.split(";"))
        given = dict(part.split("=", 1) for part in rest if "=" in part)
        quality = given.get("q", "1")
        if name in names and given.get("version", form.version) == form.version:
            known = float(quality) if _QUALITY.fullmatch(quality) else 0.0
            qualities[name] = max(known, qualities.get(name, 0.0))
    return next((qualities[name] for name in names if name in qualities), 0.0)


def text(families: Iterable[Family], form: Form) -> str:
    """The families in a form."""
    lines = [line for family in families for line in _lines(family, form)]
    if form is OPENMETRICS:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _lines(family: Family, form: Form) -> Iterator[str]:
    name = family.name
    if form is OPENMETRICS:
        name = name.removesuffix("_total")  # there, it is the sample's suffix, not the family's
    yield f"# HELP {name} {_escaped(family.meaning)}"
    yield f"# TYPE {name} {family.kind}"
    if form is OPENMETRICS and name.endswith("_seconds"):
        yield f"# UNIT {name} seconds"
    for sample in family.samples:
        if isinstance(sample.value, Histogram):
            yield from _histogram(family.name, sample.labels, sample.value)
        else:
            yield _line(family.name, sample.labels, sample.value)


def _histogram(name: str, labels: Labels, seen: Histogram) -> Iterator[str]:
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    below = list(accumulate(seen.counts))
    for bound, count in zip(bounds, below, strict=True):
        yield _line(f"{name}_bucket", (*labels, ("le", bound)), count)
    yield _line(f"{name}_count", labels, below[-1])
    yield _line(f"{name}_sum", labels, seen.sum / SECOND)


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(word, quoted=True)}"' for label, word in labels)
    return f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def _escaped(words: str, *, quoted: bool = False) -> str:
    words = words.replace("\\", "\\\\").replace("\n", "\\n")
    return words.replace('"', '\\"') if quoted else words
