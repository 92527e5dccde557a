"""A monitor's looks and alerts as lines for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.engine.texts.monitoring import ALERTS
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.width import cells, wrap

WIDTH = 80
_TIME = 10
_SIZES = ("value", "limit")
_SECONDS = ("slow_response", "wal_starved")
_MODES = {
    "wal": "WAL",
    "rollback": N_("rollback journal"),
    "missing": N_("no database"),
    "unreadable": N_("can't be read"),
    "unknown": N_("not known yet"),
}


def look_line(look: Mapping[str, Any]) -> str:
    """One look on one line; what doesn't fit is left out, the least important first."""
    line = _clock(look["time"])
    for part in _parts(look):
        longer = f"{line}  {part}"
        if cells(longer) > WIDTH:
            break
        line = longer
    return line


def _parts(look: Mapping[str, Any]) -> Iterator[str]:
    count = len(look["alerts"])
    yield _("ok") if not count else _("alerts: {count}").format(count=count)
    database = look["database"]
    mode = _MODES.get(database["mode"], "")
    yield _(mode) if mode else str(database["mode"])
    if database["mode"] == "wal":
        yield _wal(database)
    if look["health"]:
        yield _health(look["health"])
    if look["target"] is not None:
        ms = milliseconds(look["target"]["seconds"])
        yield f"PostgreSQL {ms}" if look["target"]["ok"] else _("PostgreSQL away")
    memory = [p["memory"] for p in look["processes"]["found"] if p["memory"] is not None]
    if memory:
        yield _("mem {size}").format(size=words.size(sum(memory)))
    if look["logs"]:
        yield _("log {count}").format(count=sum(hit["count"] for log in look["logs"] for hit in log["hits"]))
    yield _("free {size}").format(size=words.size(look["disk"]["free"]))


def _wal(database: Mapping[str, Any]) -> str:
    text = words.size(database["wal_bytes"])
    if database["frames"] is None:
        return text
    left = database["frames"] - (database["checkpointed"] or 0)
    pins = database["pinned_by"]
    return f"{text} +{words.count(left)}" + (f" pid {pins[0]['pid']}" if pins else "")


def _health(health: list[Mapping[str, Any]]) -> str:
    good = sum(1 for answer in health if answer["ok"])
    slowest = max(answer["seconds"] for answer in health)
    return f"{good}/{len(health)} {milliseconds(slowest)}"


def milliseconds(seconds: float | None) -> str:
    """`12 ms`, `1.5 s`; unknown as `?`."""
    if seconds is None:
        return "?"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def alert_lines(event: Mapping[str, Any]) -> list[str]:
    """An alert, or its end, with what to do."""
    raised = event["event"] == "alert"
    what, fix = ALERTS[event["code"]]
    sign = _("ALERT") if raised else _("over")
    first = f"{sign} {event['code']}: {_(what).format(**_places(event))}"
    texts = [first, "→ " + _(fix)] if raised else [first]
    lines = [line for text in texts for line in wrap(clean_line(text), WIDTH - _TIME)]
    clock = _clock(event["time"])
    return [f"{clock if not n else ' ' * len(clock)}  {line}" for n, line in enumerate(lines)]


def _places(event: Mapping[str, Any]) -> dict[str, Any]:
    params = dict(event["params"])
    if event["code"] == "wal_starved":
        return {"pid": "?", "command": "?", **params, "time": words.seconds(params.get("age_seconds"))}
    show = milliseconds if event["code"] in _SECONDS else words.size
    return {**params, **{name: show(params[name]) for name in _SIZES if name in params}}


def _clock(time: str) -> str:
    return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S")
