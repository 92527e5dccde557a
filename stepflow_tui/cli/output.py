"""All of stdout: text for people, one JSON object, or JSON Lines. Nothing else writes there.

Values come from databases and may hold terminal escapes: text loses its control characters, JSON writes them as `\\uXXXX`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.render.clean import clean, clean_line
from stepflow_tui.render.width import cells, pad

if TYPE_CHECKING:
    from rich.console import Console

_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


_WIDEST = 100
"""Cells a column is padded to; a longer value sticks out of its own line only."""


class OutputLost(Exception):
    """stdout can't be written any more (a full disk)."""


def to_json(value: Any) -> str:
    """One line of JSON that a terminal shows and doesn't obey."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(to_plain(value), ensure_ascii=ascii_only, default=str)
    return _UNSAFE_IN_JSON.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def emit_object(value: Any) -> None:
    """The one JSON object of a command."""
    _write(to_json(value))


def emit_event(value: Any) -> None:
    """One JSON line, at once."""
    _write(to_json(value))


def emit_text(text: str = "") -> None:
    """One line for people. A name with a line break in it stays on it: it could pass for a line of ours."""
    _write(clean_line(text))


def emit_block(text: str) -> None:
    """Lines for people that hold no names and values of databases."""
    _write(clean(text))


def emit_raw(text: str) -> None:
    """A document asked for as it is (a report, SQL), still without control characters."""
    _put(clean(text))


def emit_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table whose columns are as wide as their widest value, columns of numbers to the right."""
    values = [list(row) for row in rows]
    texts = [[clean_line("" if v is None else str(v)) for v in row] for row in values]
    for line in [list(head), *texts]:
        line_cells = []
        for i, cell in enumerate(line):
            width = min(_WIDEST, max(cells(row[i]) for row in ([*head], *texts)))
            right = bool(values) and all(isinstance(row[i], (int, float)) or row[i] is None for row in values)
            line_cells.append(pad(cell, width, right=right))
        _write("  ".join(line_cells).rstrip())


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def console(*, color: bool) -> Console:
    """A rich console on stdout, for terminals only."""
    from rich.console import Console

    return Console(file=sys.stdout, no_color=not color, highlight=False, markup=False, emoji=False)


def _write(line: str) -> None:
    _put(line + "\n")


def _put(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputLost(exc.strerror or str(exc)) from exc
