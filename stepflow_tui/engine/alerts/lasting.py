"""What rules about gauges share: since when something lasts, numbers that may be missing, programs by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

_SCRIPTS = frozenset({".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".php", ".pl", ".sh", ".jar"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Since when something lasts, in monotonic seconds, and what it was then."""

    at: float
    value: Any = None


Lasting = Mapping[str, Since]
"""What lasts, by name."""


def number(value: object) -> float:
    """A figure of a gauge; 0 where there is none."""
    return float(value) if isinstance(value, int | float) else 0.0


def program_of(command: object) -> str:
    """`python3 shop.py` of a command line: its program, and the script it runs; `?` where that is not known.

    Other arguments may hold what no alert should.
    """
    words = str(command or "").split()
    if not words:
        return "?"
    names = [PurePath(words[0]).name]
    names += [PurePath(word).name for word in words[1:] if PurePath(word).suffix in _SCRIPTS][:1]
    return " ".join(names)
