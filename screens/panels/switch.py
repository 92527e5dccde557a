"""Panel 3: how much of the reading goes to the new side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult

from screens.glyphs import Glyphs, bar
from screens.host import host
from screens.panels.base import Panel, Value
from screens.run_words import ENDED, Status
from screens.widgets.cells import cut
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.in_place import no_other_side
from stepflow_tui.render.live import (
    arm_line,
    as_of_line,
    compared_line,
    error_rate,
    is_in_place,
    is_live,
    is_offline,
    known_lag,
    lag_line,
    owner_line,
    percent,
    stage_line,
    strategy_word,
    trouble_lines,
    verdict_line,
)
from stepflow_tui.render.width import pad

BAR_CELLS = 30
WIDE_CELLS = 66
"""From here on each side's figures have a line of their own; below, they are a little table."""
COLUMNS = (8, 8, 8, 8, 8)


class SwitchPanel(Panel):
    """The read switch."""

    NUMBER: ClassVar[int] = 3
    NAME: ClassVar[str] = N_("Switch")
    HELP: ClassVar[str] = N_(
        "How much of the application's reading goes to the new side, what was measured on both sides, and how far the new "
        "side is behind. s changes the percentage, B sends all reads back to the old side."
    )
    DEFAULT_CSS = """
    SwitchPanel Value {
        height: auto;
    }
    """

    def compose(self) -> ComposeResult:
        """One text."""
        yield Value(id="text")

    def apply(self, snapshot: Snapshot) -> None:
        """Show the switch, or say why there is none."""
        lines = list(switch_lines(snapshot.status, self.size.width, host(self).glyphs))
        self.query_one("#text", Value).show(Text("\n".join(lines)))

    def copy_text(self) -> str:
        """What is shown."""
        return str(self.query_one("#text", Value).shown)


def switch_lines(status: Status, width: int, glyphs: Glyphs) -> Iterator[str]:
    """The switch in a few lines, the most urgent first."""
    switch, lag = status.get("switch"), known_lag(status)
    if switch is None:
        yield no_switch(status)
    else:
        share = switch.get("percentage") or 0
        yield from filter(None, (cut(as_of_line(switch), width, glyphs.more),))
        cells = max(5, min(BAR_CELLS, width - 32))
        yield (
            _("reads to the new side {percent} %").format(percent=percent(share))
            + f"  {bar(share, 100, cells, glyphs)}"
        )
        moved = verdict_line(switch) if switch.get("rolled_back") else ""
        yield from (cut(text, width, glyphs.more) for text in (moved, *trouble_lines(switch)) if text)
        yield from _figures(switch, width, glyphs)
        if not moved:
            yield from filter(None, (cut(verdict_line(switch), width, glyphs.more),))
    if lag is not None:
        yield lag_line(lag)
    yield from filter(None, (owner_line(status),))


def _figures(switch: Status, width: int, glyphs: Glyphs) -> Iterator[str]:
    """Stage, both sides, what the shadow reads have shown."""
    if width >= WIDE_CELLS:
        yield cut(stage_line(switch), width, glyphs.more)
        for name, key in ((_("old side"), "old"), (_("new side"), "new")):
            yield cut(arm_line(name, switch.get(key) or {}), width, glyphs.more)
    else:
        yield cut(_short_stage(switch), width, glyphs.more)
        yield from (cut(row, width, glyphs.more) for row in _table(switch))
    yield from filter(None, (cut(compared_line(switch), width, glyphs.more),))


def _short_stage(switch: Status) -> str:
    stages, stage = switch.get("stages") or (), switch.get("stage")
    at = f" {min(stage + 1, len(stages))}/{len(stages)}" if isinstance(stage, int) and stages else ""
    left = switch.get("soak_left_seconds")
    held = _("held for {time} more").format(time=words.seconds(left)) if left else ""
    return words.clauses(filter(None, (strategy_word(switch.get("strategy")) + at, held)))


def _table(switch: Status) -> Iterator[str]:
    head = ("", _("reads"), _("errors"), "p50", "p95")
    rows = [_row(name, switch.get(key) or {}) for name, key in ((_("old"), "old"), (_("new"), "new"))]
    if any(row[1] for row in rows):
        for row in (head, *rows):
            first, *more = zip(row, COLUMNS, strict=True)
            yield pad(*first) + "".join(pad(text, cells, right=True) for text, cells in more)


def _row(name: str, arm: Mapping[str, Any]) -> tuple[str, ...]:
    rate = error_rate(arm)
    if rate is None:
        return (name, "", "", "", "")
    times = (f"{arm[key]:.1f} ms" if arm.get(key) is not None else "" for key in ("p50_ms", "p95_ms"))
    return (name, words.count(arm["requests"]), f"{rate:.2f} %", *times)


def no_switch(status: Status) -> str:
    """Why this run has no read switch, or none yet."""
    if is_in_place(status):
        return no_other_side()
    if is_live(status) and status.get("state") in ENDED:
        return _("The run has ended: nothing is switched any more.")
    if is_live(status):
        return _("The read switch comes when both sides were compared and are equal.")
    if is_offline(status):
        return _("In mode offline reads and writes move together, while the application is stopped.")
    return _("In mode copy nothing is switched: point your application at the new database when the run is complete.")
