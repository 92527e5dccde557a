"""Signs for states and bars: one cell each in every terminal, with a set of plain ASCII."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """Characters, each one cell wide. `sparks` are heights, low to high."""

    done: str
    now: str
    todo: str
    confirm: str
    failed: str
    skipped: str
    paused: str
    arrow: str
    ticked: str
    unticked: str
    unticked_accepted: str
    full: str
    empty: str
    sparks: str
    separator: str
    more: str

    def step(self, state: str, *, danger: bool = False) -> str:
        """The sign of a step's or phase's state."""
        signs: Mapping[str, str] = {
            "done": self.done,
            "running": self.now,
            "failed": self.failed,
            "skipped": self.skipped,
            "undone": self.skipped,
        }
        return signs.get(state, self.confirm if danger else self.todo)


UNICODE = Glyphs(
    done="✓",
    now="▸",
    todo="·",
    confirm="!",
    failed="×",
    skipped="~",
    paused="=",
    arrow="→",
    ticked="[x]",
    unticked="[ ]",
    unticked_accepted="[~]",
    full="█",
    empty="░",
    sparks="▁▂▃▄▅▆▇█",
    separator="│",
    more="…",
)
ASCII = Glyphs(
    done="+",
    now=">",
    todo=".",
    confirm="!",
    failed="x",
    skipped="~",
    paused="=",
    arrow=">",
    ticked="[x]",
    unticked="[ ]",
    unticked_accepted="[~]",
    full="#",
    empty=".",
    sparks="_.-=+*%#",
    separator="|",
    more="~",
)


def spark(values: list[float], width: int, glyphs: Glyphs) -> str:
    """The last `width` values as one line; the highest one has the highest sign."""
    shown = values[-width:]
    top = max(shown, default=0) or 1
    last = len(glyphs.sparks) - 1
    return "".join(glyphs.sparks[round(max(0.0, v) / top * last)] for v in shown)


def bar(done: float, total: float, width: int, glyphs: Glyphs) -> str:
    """A bar of `width` cells; full only when all is done."""
    share = 0.0 if total <= 0 else min(1.0, done / total)
    filled = width if share >= 1 else min(width - 1, int(share * width))
    return glyphs.full * filled + glyphs.empty * (width - filled)
