"""Alerts as text: one line, the facts, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.engine.texts.running import ADVICE
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.events import alert_text


def alert_line(alert: Mapping[str, Any]) -> str:
    """`! warning  The copy is slowed down: … (since 12:03:58)`."""
    line = f"! {words.term(alert['severity'])}  {clean_line(alert_text(str(alert['code']), alert.get('params') or {}))}"
    if alert.get("since"):
        line += "  " + _("since {time}").format(time=str(alert["since"])[11:19])
    return f"{line} {_('(acknowledged)')}" if alert.get("acknowledged") else line


def alert_facts(alert: Mapping[str, Any]) -> Iterator[str]:
    """The facts of an alert, one a line: code, since when, and its parameters."""
    yield _("Code: {code}").format(code=alert["code"])
    if alert.get("since"):
        yield _("Since: {time}").format(time=alert["since"])
    for name, value in (alert.get("params") or {}).items():
        shown = words.size(value) if name.endswith("_bytes") else known(value) if isinstance(value, str) else value
        yield clean_line(words.about(words.phrase(name), shown))


def alert_advice(alert: Mapping[str, Any]) -> str:
    """What to do about it; empty where there is nothing to say."""
    return _(ADVICE.get(str(alert["code"]), ""))


def lost_engine(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The alert about a lost engine, if there is one."""
    return next((a for a in status.get("alerts") or () if a["code"] == "engine_lost"), None)
