"""What the Now panel says instead of progress: a heading, what there is to say, what to do. Pure: no widgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stepflow_tui.bridge import Snapshot
from stepflow_tui.render.window import window_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A heading with its sign, and what there is to say and to do.

    Args:
        sign: name of a glyph.
        colour: of the heading.
        head: one line.
        lines: the rest.
        act: which keys to press now, one sentence.
        short: lines are cut, not wrapped: there are many.
    """

    sign: str
    colour: str
    head: str
    lines: tuple[str, ...] = ()
    act: str = ""
    short: bool = False


def window_of(snapshot: Snapshot) -> Iterator[str]:
    """The maintenance window: while it stands, nothing else is as urgent."""
    yield from window_lines(snapshot.status, now_ms=round(snapshot.now.timestamp() * 1000))
