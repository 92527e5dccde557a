"""Keys of a walk: as SQL conditions, and as JSON for the ledger."""

from __future__ import annotations

import json
import math

from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.discrepancy import Scalar
from stepflow_tui.engine.plan.quote import lite_ident, lite_literal

Key = tuple[Scalar, ...]
"""The values of the walk's columns; TEXT that does not decode never becomes a bound."""


def key_json(key: Key | None) -> str | None:
    """A bound as the ledger holds it; bytes become `{"$hex": …}`, None stays None (no bound)."""
    return None if key is None else json.dumps(to_plain(key), separators=(",", ":"), ensure_ascii=False)


def key_from_json(text: str | None) -> Key | None:
    """The inverse of `key_json`."""
    return None if text is None else tuple(from_plain(Scalar, value) for value in json.loads(text))


def literal(value: Scalar) -> str:
    """A key value as a SQLite literal of the same storage class.

    TEXT with NUL can't stand in SQL text, so it is made from its bytes; `+` takes away the affinity that a CAST has,
    which would otherwise convert the column's side of a comparison.
    """
    if isinstance(value, str) and "\x00" in value:
        return f"+cast(x'{value.encode().hex()}' as text)"
    if isinstance(value, float) and math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    return lite_literal(value)


def in_range(columns: tuple[str, ...], lo: Key | None, hi: Key | None) -> list[str]:
    """Conditions `lo < key <= hi`, each side left out where it is None.

    Several columns are compared as a row value: that uses all columns of the index, `a>? or a=? and b>?` does not.
    """
    left = row([lite_ident(c) for c in columns])
    found = []
    if lo is not None:
        found.append(f"{left}>{row([literal(v) for v in lo])}")
    if hi is not None:
        found.append(f"{left}<={row([literal(v) for v in hi])}")
    return found


def row(parts: list[str]) -> str:
    """One expression, or a row value of several."""
    return parts[0] if len(parts) == 1 else f"({','.join(parts)})"
