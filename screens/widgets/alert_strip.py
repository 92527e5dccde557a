"""One line about the open alerts, above the footer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from screens.glyphs import Glyphs
from screens.host import host
from screens.panels.base import Value
from screens.widgets.fitting import cut_text
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _, ngettext
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.events import alert_text

ORDER = ("critical", "warning", "info")
STYLES = {"critical": "bold red", "warning": "yellow"}


class AlertStrip(Value):
    """The alerts in one line; not there when none is open."""

    DEFAULT_CSS = """
    AlertStrip {
        height: 1;
        display: none;
        text-wrap: nowrap;
    }
    AlertStrip.-open {
        display: block;
    }
    """

    def apply(self, snapshot: Snapshot) -> None:
        """Show the open alerts."""
        alerts = snapshot.status.get("alerts") or ()
        self.set_class(bool(alerts), "-open")
        if alerts:
            self.show(strip_line(alerts, self.screen.size.width, host(self).glyphs))

    async def on_click(self) -> None:
        """Open the list."""
        await self.app.run_action("app.alerts")


def strip_line(alerts: Sequence[Mapping[str, Any]], width: int, glyphs: Glyphs) -> Text:
    """`! 2 alerts · lag above limit (12:03:58) · …   [a] list`."""
    listed = sorted(alerts, key=_rank)
    count = ngettext("{count} alert", "{count} alerts", len(listed)).format(count=len(listed))
    said = " · ".join(_said(a) for a in listed)
    style = "dim" if listed[0].get("acknowledged") else STYLES.get(str(listed[0].get("severity")), "")
    hint = f"  [a] {_('list')} "
    line = cut_text(Text(f" {glyphs.confirm} {count} · {said}", style), width - Text(hint).cell_len, glyphs.more).copy()
    line.pad_right(max(0, width - line.cell_len - Text(hint).cell_len))
    return line.append(hint, "bold")


def _rank(alert: Mapping[str, Any]) -> tuple[bool, int]:
    severity = str(alert.get("severity"))
    return bool(alert.get("acknowledged")), ORDER.index(severity) if severity in ORDER else len(ORDER)


def _said(alert: Mapping[str, Any]) -> str:
    text = clean_line(alert_text(str(alert["code"]), alert.get("params") or {}))
    if alert.get("since"):
        text += f" ({clean_line(str(alert['since']))[11:19]})"
    return f"{text} {_('(acknowledged)')}" if alert.get("acknowledged") else text
