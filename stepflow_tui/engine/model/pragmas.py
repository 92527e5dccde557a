"""The settings of SQLite that StepFlow speaks of: which stand in the file, which every connection has to make, and their values.

Pure. The words about them are in `texts.pragmas`; snippets and judging in `engine.tuning`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from stepflow_tui.engine.model.config_units import parse_duration, parse_size, parse_whole, problem

if TYPE_CHECKING:
    from stepflow_tui.engine.model.config_wal import Wal

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

PRODUCTION: dict[str, str] = {
    "busy_timeout": "30000",  # milliseconds
    "synchronous": "NORMAL",
    "cache_size": "-20000",  # negative: KiB; positive numbers count pages
    "temp_store": "MEMORY",
    "mmap_size": str(512 * MIB),  # bytes
    "wal_autocheckpoint": "1000",  # pages of -wal
    "journal_size_limit": str(64 * MIB),  # bytes
}
"""The profile, in the order in which it is set: what comes later may already have to wait for a lock."""

PROFILES: dict[str, dict[str, str]] = {"production": PRODUCTION}

IN_FILE = ("journal_mode", "page_size", "auto_vacuum")
"""Settings that the file itself keeps; the conversion makes them and reads them back."""

WORDS: dict[str, tuple[str, ...]] = {
    "synchronous": ("OFF", "NORMAL", "FULL", "EXTRA"),
    "temp_store": ("DEFAULT", "FILE", "MEMORY"),
    "foreign_keys": ("OFF", "ON"),
}
"""Settings whose values have names; SQLite answers with the name's position."""
_SAME = {"NO": "OFF", "FALSE": "OFF", "YES": "ON", "TRUE": "ON"}

_RANGES: dict[str, tuple[int, int]] = {
    "busy_timeout": (1, 3_600_000),
    "cache_size": (-64 * GIB // KIB, 1 << 30),
    "mmap_size": (0, 1 << 46),
    "wal_autocheckpoint": (0, 1_000_000),
    "journal_size_limit": (-1, 1 << 46),
}
KNOWN = (*PRODUCTION, "foreign_keys")
"""Names that `wal.pragmas` takes."""

Keys = tuple[str, ...]


class Unit(StrEnum):
    """What the number of a setting counts."""

    MILLISECONDS = "milliseconds"
    BYTES = "bytes"
    PAGES = "pages"
    KIB = "KiB"
    NONE = ""


_UNITS = {
    "busy_timeout": Unit.MILLISECONDS,
    "mmap_size": Unit.BYTES,
    "journal_size_limit": Unit.BYTES,
    "wal_autocheckpoint": Unit.PAGES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pragma:
    """One setting as it should be. `value` as SQL writes it; `persists`: the file keeps it; `own`: from `wal.pragmas`."""

    name: str
    value: str
    persists: bool = False
    own: bool = False

    @property
    def statement(self) -> str:
        """The SQL that makes it."""
        return f"PRAGMA {self.name} = {self.value}"

    @property
    def why(self) -> str:
        """Its code in `texts.pragmas`."""
        return self.name

    @property
    def unit(self) -> Unit:
        """What its number counts."""
        if self.name == "cache_size":
            return Unit.KIB if self.value.startswith("-") else Unit.PAGES
        return _UNITS.get(self.name, Unit.NONE)


def profile(wal: Wal) -> tuple[Pragma, ...]:
    """What every connection of the application should set: the profile, and over it the config's own values."""
    values = PROFILES[wal.profile] | {name: normal(name, value) for name, value in wal.pragmas.items()}
    return tuple(Pragma(name=n, value=v, own=n in wal.pragmas) for n, v in values.items())


def in_file(wal: Wal) -> tuple[Pragma, ...]:
    """What the file should keep: WAL, and where the config asks for it page size and auto_vacuum."""
    layout = {"page_size": wal.page_size, "auto_vacuum": wal.auto_vacuum and wal.auto_vacuum.value}
    wanted = {"journal_mode": "wal"} | {name: str(value) for name, value in layout.items() if value is not None}
    return tuple(Pragma(name=n, value=v, persists=True) for n, v in wanted.items())


def config_problems(pragmas: Mapping[str, str]) -> Iterator[tuple[Keys, str, str]]:
    """What can't be used in `wal.pragmas`: key path, problem, hint."""
    for name, value in pragmas.items():
        keys = ("wal", "pragmas", name)
        if name not in KNOWN:
            yield keys, *_unknown(name)
            continue
        try:
            normal(name, value)
        except PydanticCustomError as error:
            context = error.context or {}
            yield keys, str(context["text"]), str(context["hint"])


def _unknown(name: str) -> tuple[str, str]:
    if name in IN_FILE:
        hint = "journal_mode is what the run converts" if name == "journal_mode" else f"write wal.{name}"
        return "stands in the file, not in a connection", hint
    if name == "locking_mode":
        return "would keep every other process out", "leave it out"
    close = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.6)
    return "no setting that is known here", f"did you mean {close[0]}?" if close else f"known here: {', '.join(KNOWN)}"


def normal(name: str, value: str) -> str:
    """A value of `wal.pragmas` as SQL writes it: `512MiB` → `536870912`, `30s` → `30000`, `normal` and `1` → `NORMAL`.

    Raises:
        PydanticCustomError: it is none for that setting; text and hint in its context.
    """
    text = value.strip()
    if name in WORDS:
        return _word(name, text)
    number = _number(name, text)
    low, high = _RANGES[name]
    if not low <= number <= high or (name == "cache_size" and not number):
        hint = "KiB below 0, pages above, but not 0" if name == "cache_size" else f"{low} to {high}"
        raise problem("out of range", hint)
    return str(number)


def _word(name: str, text: str) -> str:
    words = WORDS[name]
    upper = _SAME.get(text.upper(), text.upper())
    if upper in words:
        return upper
    if text.isdigit() and int(text) < len(words):
        return words[int(text)]
    raise problem("an unknown value", f"one of {', '.join(words)}")


def _number(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        whole: int = parse_whole(text)
        return whole
    if name == "busy_timeout":
        seconds: float = parse_duration(text)
        return round(seconds * 1000)
    if name in ("mmap_size", "journal_size_limit"):
        return int(parse_size(text))
    raise problem("not a whole number", "decimal digits only, no leading zero")


def meaning(name: str, value: object, page_size: int) -> int | str | None:
    """What a value comes to, so that `NORMAL` equals 1 and -20000 KiB equal 5,000 pages of 4,096 bytes. None: no value.

    Args:
        value: as written in a config, or as a connection answers: text, number, boolean.
        page_size: bytes, for settings that count pages.

    Returns:
        The position of a word; KiB of a cache; other numbers as they are; text that is none of these in lower case.
    """
    if value is None or (isinstance(value, float) and not value.is_integer()):
        return None
    text = str(int(value)) if isinstance(value, bool | int | float) else str(value).strip()
    if name in WORDS:
        word = _SAME.get(text.upper(), text.upper())
        text = str(WORDS[name].index(word)) if word in WORDS[name] else text
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return text.lower() or None
    number = int(text)
    return cache_kib(number, page_size) if name == "cache_size" else number


def cache_kib(cache_size: int, page_size: int) -> int:
    """KiB of a `cache_size`: negative ones are KiB, positive ones count pages."""
    return -cache_size if cache_size < 0 else cache_size * page_size // KIB
