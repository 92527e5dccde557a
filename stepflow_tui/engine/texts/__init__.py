"""The words for codes: one catalog file per topic, merged here. Front ends render; the journal holds code and parameters.

A finding's text has three templates: what was found, why it matters, how to fix it; `{name}` takes a parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.texts import language

CATALOGS = (
    "source",
    "target",
    "planning",
    "running",
    "live_checks",
    "wal_checks",
    "application",
    "settings",
    "pragmas",
    "in_place",
    "checklist",
)
"""Modules of this package that hold a `FINDINGS` dict; the checklist catalog holds titles instead."""


@dataclass(frozen=True, slots=True)
class Words:
    """Three sentences about a finding."""

    what: str
    why: str
    fix: str


@lru_cache(maxsize=1)
def findings() -> dict[str, Words]:
    """All finding texts by code."""
    merged: dict[str, Words] = {}
    for name in CATALOGS:
        module = import_module(f"{__name__}.{name}")
        merged.update(getattr(module, "FINDINGS", {}))
    return merged


class _Missing(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


def render(finding: Finding) -> Words:
    """The finding's words in English with its parameters filled in; an unknown code is shown as itself, never an error."""
    return _filled(finding, _same, _same)


def shown(finding: Finding) -> Words:
    """The finding's words in the language in use; reasons among its parameters too."""
    return _filled(finding, language._, language.inner)


def _filled(finding: Finding, text: Callable[[str], str], value: Callable[[str], str]) -> Words:
    words = findings().get(finding.code)
    if words is None:
        listed = ", ".join(f"{k}={v}" for k, v in finding.params.items())
        return Words(f"{finding.code} {listed}".strip(), "", "")
    params = _Missing({k: value(v) if isinstance(v, str) else v for k, v in finding.params.items()})
    params.setdefault("object", finding.object or "")
    return Words(*(text(t).format_map(params) for t in (words.what, words.why, words.fix)))


def _same(text: str) -> str:
    return text
