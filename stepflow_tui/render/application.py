"""The application's side as text: how it is now, how available it was, how long its maintenance window lasts.

Takes the gauges `application`, `availability` and `window` of a status. A gauge may lack any key: what is not known is left
out, never shown as zero. Values come from outside: they are cleaned here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.texts.language import N_, _, known, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.live import as_of_line, is_in_place, is_offline, phase_title
from stepflow_tui.render.width import cells, pad

Gauge = Mapping[str, Any]
Status = Mapping[str, Any]

STATES: dict[str, str] = {
    "old": N_("old: as it was before the switch"),
    "stopping": N_("being stopped"),
    "stopped": N_("STOPPED"),
    "switching": N_("stopped, being switched"),
    "starting": N_("being started"),
    "new": N_("new: switched and started"),
    "going back": N_("going back to the old side"),
}
"""Where the application is on its way from one side to the other."""
MOVING = frozenset({"stopping", "stopped", "switching", "starting", "going back"})
"""States in which nobody should expect it to answer."""
OPEN_WINDOW = frozenset({"open", "deciding"})
"""States of a maintenance window in which the application is stopped."""
MOVING_STEPS = frozenset({"stop-application", "change-application"})
"""Steps of a run in place that stop or start it."""
LONGEST = 200
"""Characters of a value from outside on one line."""
LONGEST_SENTENCE = 1000


def configured(status: Status) -> bool:
    """Whether the run's config says anything about an application: then there are gauges of it."""
    return bool(status.get("application")) or bool(status.get("availability"))


def watched(status: Status) -> bool:
    """Whether there is anything to see: an application, or the maintenance window it is stopped for."""
    return configured(status) or bool(status.get("window"))


def window_left(status: Status, now_ms: float) -> float | None:
    """Seconds until the maintenance window is over, below 0 when it is; None where none stands."""
    window = status.get("window") or {}
    if window.get("state") not in OPEN_WINDOW or not isinstance(window.get("ends_ms"), int | float):
        return None
    return float(window["ends_ms"] - now_ms) / 1000


def moves_application(status: Status) -> frozenset[str]:
    """The phases that stop or start it; an offline run stops it before it copies, one in place where a step does it."""
    if is_in_place(status):
        return frozenset(str(p["name"]) for p in status.get("phases") or () if _names(p) & MOVING_STEPS)
    return frozenset({"capture", "cutover"} if is_offline(status) else {"cutover"})


def _names(phase: Gauge) -> frozenset[str]:
    return frozenset(str(s["name"]) for s in phase.get("steps") or ())


def outside(value: object) -> str:
    """A value from outside on one line, cut."""
    text = clean_line(str(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def sentence(text: object) -> str:
    """A sentence of the engine's, or words from outside."""
    return clean_line(known(clean_line(str(text))))[:LONGEST_SENTENCE]


def state_word(application: Gauge) -> str:
    """Where it is on its way, "" while nobody has said."""
    state = application.get("state")
    return "" if not state else _(STATES[state]) if state in STATES else outside(state)


def restart_line(application: Gauge, *, short: bool = False) -> str:
    """When StepFlow last started it, "" if it has not. `short`: the time of day alone."""
    at = str(application.get("last_restart") or "")
    shown = at[11:19] if short and at[10:11] == "T" else at
    return _("last restart {time}").format(time=outside(shown)) if at else ""


def state_line(status: Status) -> str:
    """`application new: switched and started; last restart …`."""
    application = status.get("application") or {}
    told = [part for part in (state_word(application), restart_line(application)) if part]
    return words.clauses(told)


def is_healthy(row: Gauge) -> bool:
    """Whether this check said yes the last time."""
    return bool(row.get("ok"))


def health_rows(status: Status) -> Iterator[tuple[bool, str]]:
    """Every health check: whether it was passed, and its line. On its way between two sides none is: that is from before."""
    moving = _moving(status)
    for row in (status.get("application") or {}).get("health") or ():
        if not (moving and is_healthy(row)):
            yield is_healthy(row), health_line(row)


def health_line(row: Gauge) -> str:
    """`http://…/health, 12 ms`, or why not."""
    name = outside(row.get("what") or "?")
    took = _milliseconds(row.get("seconds"), 1000)
    if is_healthy(row):
        return words.listed((name, took)) if took else name
    return words.about(name, sentence(row["reason"]) if row.get("reason") else _("no answer"))


def _milliseconds(value: object, factor: float = 1) -> str:
    if not isinstance(value, int | float):
        return ""
    number = value * factor
    return (
        f"{number:.1f} ms" if number < 10 else f"{number:,.0f} ms" if number < 10_000 else words.seconds(number / 1000)
    )


def standing_rows(status: Status, *, short: bool = False) -> Iterator[tuple[bool, str]]:
    """What runs: whether it does, and its line; `short`: the time of day alone."""
    for row in (status.get("application") or {}).get("standing") or ():
        yield bool(row.get("running")), standing_line(row, short=short)


def standing_line(row: Gauge, *, short: bool = False) -> str:
    """`unit shop.service runs, version v2.0, process 4711, since 2026-11-22T11:21:07Z`."""
    what = outside(row.get("what") or "?")
    parts = [_("{what} runs") if row.get("running") else _("not running: {what}")]
    parts[0] = parts[0].format(what=what)
    if row.get("version"):
        parts.append(_("version {version}").format(version=outside(row["version"])))
    if row.get("running") and row.get("pid") and str(row["pid"]) not in what:
        parts.append(_("process {pid}").format(pid=outside(row["pid"])))
    if row.get("running") and row.get("since"):
        parts.append(_("since {time}").format(time=_time(row["since"], short=short)))
    return words.listed(parts)


def _time(since: object, *, short: bool) -> str:
    """A time that a gauge tells, in seconds since 1970 or as text."""
    if isinstance(since, int | float):
        text = iso_utc(round(since * 1000))[:19]
        return text[11:] if short else f"{text}Z"
    return outside(since)


def asked(status: Status) -> bool:
    """Whether somebody asks the application: without an engine everything is as it was last known."""
    return bool((status.get("engine") or {}).get("alive", True))


def _asked_now(status: Status) -> Gauge:
    return ((status.get("availability") or {}).get("now") or {}) if asked(status) else {}


def answers(status: Status) -> bool | None:
    """Whether it answered the last request, None while nobody asks."""
    now = _asked_now(status)
    return None if not now else bool(now.get("ok"))


def now_line(status: Status) -> str:
    """`answers in 12 ms`, `DOES NOT ANSWER`; "" while nobody asks."""
    now = _asked_now(status)
    if not now:
        return ""
    if not now.get("ok"):
        return _("DOES NOT ANSWER")
    took = _milliseconds(now.get("latency_ms"))
    return _("answers in {time}").format(time=took) if took else _("answers")


def totals(availability: Gauge) -> Gauge:
    """All phases together; {} before the first one. A key is there only if a phase knows it."""
    phases = [p for p in (availability.get("phases") or {}).values() if p]
    found: dict[str, float] = {}
    for key in ("requests", "failed", "unavailable_seconds", "measured_seconds", "unmeasured_seconds"):
        if told := [p[key] for p in phases if p.get(key) is not None]:
            found[key] = sum(told)
    if gaps := [p["longest_gap_seconds"] for p in phases if p.get("longest_gap_seconds") is not None]:
        found["longest_gap_seconds"] = max(gaps)
    return found


def figures(phase: Gauge) -> str:
    """`unavailable 1.2 s, longest gap 1.2 s, 2 of 1,204 requests failed`."""
    parts = []
    if phase.get("unavailable_seconds") is not None:
        parts.append(_("unavailable {time}").format(time=words.seconds(phase["unavailable_seconds"])))
    if phase.get("longest_gap_seconds") is not None:
        parts.append(_("longest gap {time}").format(time=words.seconds(phase["longest_gap_seconds"])))
    if phase.get("requests") is not None:
        text = _("{failed} of {count} requests failed")
        parts.append(text.format(failed=words.count(phase.get("failed")), count=words.count(phase["requests"])))
    if phase.get("unmeasured_seconds"):
        parts.append(_("not measured {time}").format(time=words.seconds(phase["unmeasured_seconds"])))
    return words.listed(parts)


def short_figures(phase: Gauge) -> str:
    """`away 1.2 s, gap 1.2 s, 2/1,204 failed`: the same where there is little room."""
    parts = []
    if phase.get("unavailable_seconds") is not None:
        parts.append(_("away {time}").format(time=words.clock(phase["unavailable_seconds"])))
    if phase.get("longest_gap_seconds") is not None:
        parts.append(_("gap {time}").format(time=words.clock(phase["longest_gap_seconds"])))
    if phase.get("requests") is not None:
        text = _("{failed}/{count} failed")
        parts.append(text.format(failed=words.count(phase.get("failed")), count=words.count(phase["requests"])))
    return words.listed(parts)


def phase_table(status: Status, *, short: bool = False) -> Sequence[tuple[str, str, str, str]]:
    """Head and rows in the run's order: phase, unavailable, longest gap, failed requests. Empty before the first phase."""
    rows = [
        (
            clean_line(phase_title(status, str(name))),
            _seconds(phase.get("unavailable_seconds"), short=short),
            _seconds(phase.get("longest_gap_seconds"), short=short),
            words.count(phase.get("failed")),
        )
        for name, phase in _in_order(status)
        if phase
    ]
    away, gap = (_("away"), _("gap")) if short else (_("unavailable"), _("longest gap"))
    return [(_("phase"), away, gap, _("failed")), *rows] if rows else []


def _in_order(status: Status) -> Sequence[tuple[str, Gauge]]:
    """Phases as the run goes through them; those it does not know come last."""
    found = (status.get("availability") or {}).get("phases") or {}
    names = [str(p["name"]) for p in status.get("phases") or ()]
    return sorted(found.items(), key=lambda item: names.index(item[0]) if item[0] in names else len(names))


def _seconds(value: object, *, short: bool = False) -> str:
    tell = words.clock if short else words.seconds
    return tell(value) if isinstance(value, int | float) else "?"


def table_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns, the first one to the left and the others to the right."""
    if not rows:
        return
    widths = [max(cells(row[n]) for row in rows) for n in range(len(rows[0]))]
    for first, *more in rows:
        cut = pad(first, widths[0])
        yield cut + "".join("  " + pad(text, width, right=True) for text, width in zip(more, widths[1:], strict=True))


def application_lines(status: Status, *, signs: bool = True) -> Iterator[str]:
    """Everything about the application, for `status` and `application status`; nothing where none is configured.

    Without `signs` in words, for who can't see a tick.
    """
    if head := as_of_line(status.get("application") or status.get("availability")):
        yield head
    if line := state_line(status):
        yield words.about(_("application"), line)
    for fine, text in standing_rows(status):
        yield "  " + _signed(fine, text, signs=signs, good=_("runs"), bad=_("DOWN"))
    for fine, text in health_rows(status):
        yield "  " + _signed(fine, text, signs=signs, good=_("healthy"), bad=_("NOT HEALTHY"))
    availability = status.get("availability") or {}
    if told := words.clauses(filter(None, (now_line(status), figures(totals(availability))))):
        yield words.about(_("availability"), told)
    for row in table_lines(phase_table(status)):
        yield f"  {row}"


def _signed(fine: bool, text: str, *, signs: bool, good: str, bad: str) -> str:
    if signs:
        return f"{'✓' if fine else '✗'} {text}"
    return words.about(good if fine else bad, text)


def short_line(status: Status, now_ms: float = 0) -> str:
    """The least that has to be in sight: how long the window lasts, whether it answers, is healthy, how long it was away.

    No figures that change every second: what is drawn round a panel is drawn with all of it.
    """
    health = list(health_rows(status)) if asked(status) else []
    sick = sum(not fine for fine, _text in health)
    told = [state_word(status.get("application") or {})] if _moving(status) else []
    left = window_left(status, now_ms)
    if left is not None:
        told.append(_("window OVER") if left < 0 else _("window: {count} min left").format(count=ceil(left / 60)))
    up = answers(status)
    told.append("" if up is None else _("answers") if up else _("DOES NOT ANSWER"))
    if health:
        failed = ngettext("{count} health check failed", "{count} health checks failed", sick).format(count=sick)
        told.append(failed if sick else _("healthy"))
    away = totals(status.get("availability") or {}).get("unavailable_seconds")
    if away:
        told.append(_("unavailable {time}").format(time=words.seconds(away)))
    return words.listed(filter(None, told))


def _moving(status: Status) -> bool:
    return (status.get("application") or {}).get("state") in MOVING


def answer_lines(rows: Sequence[Gauge], *, signs: bool) -> Iterator[str]:
    """What the checks said just now."""
    for row in rows:
        yield _signed(is_healthy(row), health_line(row), signs=signs, good=_("healthy"), bad=_("NOT HEALTHY"))
