"""Whether the application's connections are set as they should be: what a probe told, compared by meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.model.config_wal import PAGE_SIZES
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.model.pragmas import KIB, WORDS, Pragma, cache_kib, meaning, profile

if TYPE_CHECKING:
    from stepflow_tui.engine.model.config_wal import Wal

USUAL_PAGE = 4096
"""Bytes of a page where nobody tells."""
READ_BYTES = 64 * 1024
"""The end of what a probe printed; nothing before it is looked at."""
SHOWN_CHARACTERS = 60
"""Of a value that came from the application."""


class Fit(StrEnum):
    """How a setting stands."""

    OK = "ok"
    DIFFERS = "differs"
    NOT_TOLD = "not told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One setting of the application's connection. `note`: what else to know about it, a sentence or ""."""

    name: str
    wanted: str
    found: str | None
    state: Fit
    note: str = ""

    @property
    def finding(self) -> Finding | None:
        """A warning about it; None where it fits."""
        if self.state is Fit.OK:
            return None
        if self.found is None:
            return warning("pragma_not_told", self.name, name=self.name, wanted=self.wanted)
        return warning("pragma_differs", self.name, name=self.name, found=self.found, wanted=self.wanted)


def judge(found: Mapping[str, object], wanted: Sequence[Pragma], *, page_size: int | None = None) -> tuple[Judged, ...]:
    """Compare what a connection answers with what it should be.

    Args:
        found: by pragma, as the probe printed it: numbers, words, None for no answer.
        wanted: the profile.
        page_size: bytes, where the probe does not tell.
    """
    page = _page(found, page_size)
    return tuple(_judged(pragma, found.get(pragma.name), page) for pragma in wanted)


def _page(found: Mapping[str, object], page_size: int | None) -> int:
    told = found.get("page_size")
    return told if isinstance(told, int) and told in PAGE_SIZES else page_size or USUAL_PAGE


def _judged(pragma: Pragma, value: object, page: int) -> Judged:
    told = meaning(pragma.name, value, page) if isinstance(value, str | int | float) else None
    if told is None:
        return Judged(name=pragma.name, wanted=pragma.value, found=None, state=Fit.NOT_TOLD, note=_untold(pragma))
    fits = told == meaning(pragma.name, pragma.value, page)
    return Judged(
        name=pragma.name,
        wanted=pragma.value,
        found=_named(pragma.name, told, value),
        state=Fit.OK if fits else Fit.DIFFERS,
        note="" if fits else _note(pragma, told, page),
    )


def _named(name: str, told: int | str, value: object) -> str:
    """The value as a person reads it: `NORMAL` where a connection answers 1."""
    words = WORDS.get(name, ())
    text = words[told] if isinstance(told, int) and 0 <= told < len(words) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def _untold(pragma: Pragma) -> str:
    return "its SQLite may be built without memory mapping" if pragma.name == "mmap_size" else ""


def _note(pragma: Pragma, told: int | str, page: int) -> str:
    if not isinstance(told, int):
        return "no value of this setting"
    if pragma.name == "cache_size":
        return f"{told} KiB with pages of {page} bytes"
    if pragma.name == "mmap_size" and 0 < told < int(pragma.value):
        return "its SQLite may be built with a smaller limit"
    return "" if told or pragma.name != "busy_timeout" else "the second of two writers fails at once"


def parse_probe(text: str) -> dict[str, Any]:
    """The line of a probe among whatever else the application printed: the last one that is a JSON object with pragmas.

    Raises:
        UsageError: `probe_unreadable`: there is none.
    """
    for line in reversed(text[-READ_BYTES:].splitlines()):
        if not line.lstrip().startswith("{"):
            continue
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and "synchronous" in told:
            return told
    raise UsageError(
        "The probe printed no line that tells settings.",
        detail=f"{len(text)} characters, no JSON object with `synchronous` in it",
        hint="Run what `stepflow pragmas --probe` prints inside the application, and pass its one line.",
        code="probe_unreadable",
    )


def findings_of(wal: Wal, page_size: int | None = None) -> list[Finding]:
    """What to know about the config's own values.

    Args:
        page_size: bytes, of the database; None: the usual 4,096.
    """
    return [f for pragma in profile(wal) if pragma.own and (f := _about(pragma, page_size or USUAL_PAGE)) is not None]


def _about(pragma: Pragma, page: int) -> Finding | None:
    where = f"wal.pragmas.{pragma.name}"
    if pragma.name == "cache_size" and (pages := int(pragma.value)) > 0:
        kib = cache_kib(pages, page)
        size = f"{kib / 1024:.1f} MiB" if kib >= KIB else f"{kib} KiB"
        return warning("pragma_cache_pages", where, value=pages, size=size, page_size=page, kib=kib)
    if pragma.name == "synchronous" and pragma.value == "OFF":
        return warning("pragma_not_durable", where)
    if pragma.name == "wal_autocheckpoint" and pragma.value == "0":
        return warning("pragma_no_checkpoints", where)
    return None
