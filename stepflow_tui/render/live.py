"""The live part of a run as text: how far behind, the source's log, the read switch, what going back loses.

Takes the gauges of a status (`lag`, `wal`, `switch`, `live`) and the events about them. A gauge may lack any key: what is
not known is left out, never shown as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.texts.language import _, known, ngettext
from stepflow_tui.engine.texts.switching import BACK, CAPTURES, MOMENTS, SIGNALS, STRATEGIES, TOLD, VERDICTS
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.tables import key_text
from stepflow_tui.render.wal import in_place_lines, wal_lines

Gauge = Mapping[str, Any]
Status = Mapping[str, Any]
OFFLINE = "offline"
_NAMED = 3
"""Rows set aside that are named."""


def is_live(status: Status) -> bool:
    """Whether reads and writes move while the application works: its phases say so before the first gauge is there."""
    names = {p["name"] for p in status.get("phases") or ()}
    return "switch_reads" in names or (not names and status.get("live") is not None)


def is_in_place(status: Status) -> bool:
    """Whether the database stays where it is: there is no other side, only another mode."""
    return status.get("kind") in IN_PLACE


def is_offline(status: Status) -> bool:
    """Whether the application is stopped for it, in a maintenance window: writes move, and reads with them."""
    names = {p["name"] for p in status.get("phases") or ()}
    return "cutover" in names and "switch_reads" not in names and not is_in_place(status)


def sort_of(status: Status) -> str:
    """What titles of phases and steps depend on: the kind, or the maintenance window of one that has a target."""
    return OFFLINE if is_offline(status) else str(status.get("kind") or "")


def phase_title(status: Status, name: str) -> str:
    """A phase of this run as its title."""
    return words.phase(name, sort_of(status))


class _Shown(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "…"


def filled(table: Mapping[str, str], code: str, params: Mapping[str, Any]) -> str:
    """The sentence of a code with its parameters; a code of another version is shown as itself."""
    text = table.get(code)
    if text is None:
        told = ", ".join(f"{k} {_value(v)}" for k, v in params.items())
        return clean_line(f"{words.phrase(code)} ({told})" if told else words.phrase(code))
    return _(text).format_map(_Shown({k: _value(v) for k, v in params.items()}))


def _value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float) and abs(value) >= 1000:  # three digits would be 1.8e+03
        value = round(value)
    if isinstance(value, int):
        return words.count(value)
    return f"{value:.3g}" if isinstance(value, float) else known(clean_line(str(value)))


def percent(value: object) -> str:
    """`25`, `0.5`: a percentage without needless zeros."""
    return f"{value:g}" if isinstance(value, int | float) else "?"


def lag_line(lag: Gauge) -> str:
    """How far the new side is behind."""
    if not lag.get("changes"):
        return _("not behind: every change is on the new side")
    return ngettext("behind by {count} change, {time}", "behind by {count} changes, {time}", lag["changes"]).format(
        count=words.count(lag["changes"]), time=words.seconds(lag.get("seconds"))
    )


def known_lag(status: Status) -> Gauge | None:
    """How far behind, None where nobody has looked since: there is no engine, or nothing is carried any more."""
    works = (status.get("engine") or {}).get("alive", True) and not closed(status)
    return status.get("lag") if works else None


def as_of_line(gauge: Gauge | None) -> str:
    """Of when figures are that nobody renews any more; "" while an engine does."""
    if not gauge or "as_of" not in gauge:
        return ""
    time = f"{str(gauge['as_of'])[:19]}Z" if gauge["as_of"] else "?"
    return _("as of {time}, no engine works on the run:").format(time=clean_line(time))


def _dated(*groups: tuple[Gauge | None, Iterable[str]]) -> Iterator[str]:
    """Groups of lines, each under the time its gauge is of, which is told once."""
    told = ""
    for gauge, lines in groups:
        shown = list(filter(None, lines))
        head = as_of_line(gauge) if shown else ""
        if head and head != told:
            yield head
            told = head
        yield from shown


def log_line(live: Gauge) -> str:
    """How much of the change log there is, "" while that is not known."""
    if live.get("log_rows") is None:
        return ""
    text = _("change log: {count} entries, {size}").format(
        count=words.count(live["log_rows"]), size=words.size(live.get("log_bytes"))
    )
    rate = live.get("rows_per_second")
    return f"{text}, {_('{count} rows/s applied').format(count=words.count(rate))}" if rate else text


def strategy_word(name: object) -> str:
    """A strategy's name; `ab` as people write it."""
    return {"ab": "A/B"}.get(str(name), clean_line(str(name or "?")))


def stage_line(switch: Gauge) -> str:
    """`strategy gradual, stage 3 of 5, version 7; held for 4 min 10 s more`."""
    stages, stage = switch.get("stages") or (), switch.get("stage")
    number = f"{stage}"
    if isinstance(stage, int) and stages:
        number = _("{number} of {count}").format(number=min(stage + 1, len(stages)), count=len(stages))
    line = _("stage {stage}, strategy {strategy}, version {version}").format(
        stage=clean_line(number), strategy=strategy_word(switch.get("strategy")), version=_value(switch.get("version"))
    )
    left = switch.get("soak_left_seconds")
    return words.clauses((line, _("held for {time} more").format(time=words.seconds(left)))) if left else line


def arm_line(name: str, arm: Gauge) -> str:
    """One side's figures on one line."""
    if not arm or not arm.get("requests"):
        return words.about(name, _("no reads reported yet"))
    parts = [_("{count} reads").format(count=words.count(arm["requests"]))]
    rate = error_rate(arm)
    if rate is not None:
        parts.append(_("{percent} % errors").format(percent=percent(round(rate, 2))))
    parts += [f"{key[:3]} {_ms(arm[key])}" for key in ("p50_ms", "p95_ms") if arm.get(key) is not None]
    return words.about(name, words.listed(parts))


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"


def error_rate(arm: Gauge) -> float | None:
    """Errors per hundred reads, None without reads."""
    return 100 * (arm.get("errors") or 0) / arm["requests"] if arm.get("requests") else None


def compared_line(switch: Gauge) -> str:
    """What the shadow reads have shown, "" before there are any."""
    if switch.get("shadow_reads") is None and switch.get("mismatches") is None:
        return ""
    return _("mismatches {count} of {total} shadow reads").format(
        count=words.count(switch.get("mismatches") or 0), total=words.count(switch.get("shadow_reads") or 0)
    )


def verdict_line(switch: Gauge) -> str:
    """Whether reads were moved back, else what the figures say; "" where they say nothing."""
    back = switch.get("rolled_back")
    if back:
        return words.about(_("moved back by itself"), signal(back)) if signal(back) else _("moved back by itself")
    verdict = switch.get("verdict")
    if not verdict:
        return ""
    code, params = (verdict.get("code"), verdict.get("params") or {}) if isinstance(verdict, Mapping) else (verdict, {})
    name = f"{code}_reads" if params.get("wanted") and f"{code}_reads" in VERDICTS else str(code)
    return words.about(_("verdict"), filled(VERDICTS, name, params if name in VERDICTS else {}))


def trouble_lines(switch: Gauge) -> Iterator[str]:
    """What keeps the switch from working as it should."""
    if switch.get("suspended"):
        yield _("suspended: routers read the old side, because the new one is behind or out of reach")
    if switch.get("trouble"):
        yield _("the newest round ended with an error: {code}").format(code=clean_line(str(switch["trouble"])))
    if "as_of" in switch and switch.get("percentage") and switch.get("strategy") != "restart":
        yield _("without an engine nobody keeps that up: routers read from the side that owns the writes")
    if switch.get("cool_down_left_seconds"):
        yield _("it can be armed again in {time}").format(time=words.seconds(switch["cool_down_left_seconds"]))


def signal(back: object) -> str:
    """Why reads were moved back, as the engine tells it: a code with parameters, a code, or nothing."""
    if isinstance(back, Mapping):
        code = back.get("signal") or back.get("code") or back.get("reason") or ""
        return filled(SIGNALS, str(code), back.get("params") or {}) if code else ""
    return filled(SIGNALS, back, {}) if isinstance(back, str) else ""


def switch_lines(switch: Gauge) -> Iterator[str]:
    """The read switch: how far, how it goes on, what was measured."""
    yield _("reads to the new side {percent} %").format(percent=percent(switch.get("percentage") or 0))
    yield stage_line(switch)
    yield arm_line(_("old side"), switch.get("old") or {})
    yield arm_line(_("new side"), switch.get("new") or {})
    yield from filter(None, (compared_line(switch), verdict_line(switch), *trouble_lines(switch)))


def verifier_line(live: Gauge) -> str:
    """What the continuous comparison has shown, "" before it began."""
    found = live.get("verifier")
    if not found:
        return ""
    passes = int(found.get("passes") or 0)
    parts = [ngettext("{count} pass", "{count} passes", passes).format(count=words.count(passes))]
    parts.append(
        _("clean at {time}").format(time=_at(found["clean_at"])) if found.get("clean_at") else _("not clean yet")
    )
    if found.get("differing"):
        parts.append(_("{count} rows differ").format(count=words.count(found["differing"])))
    if found.get("table"):
        now = _("now {table}, {done} of {total}")
        total = words.count(found.get("total"))
        parts.append(
            now.format(table=clean_line(str(found["table"])), done=words.count(found.get("done") or 0), total=total)
        )
    return words.about(_("comparison"), words.listed(parts))


def _at(moment: object) -> str:
    """`12:04:31` of a time as the journal keeps it."""
    text = iso_utc(int(moment)) if isinstance(moment, int | float) else str(moment)
    return clean_line(text[11:19] if "T" in text else text)


def freeze_line(live: Gauge) -> str:
    """For how long writes would stand still, "" while nobody knows, and once they have moved."""
    seconds = live.get("freeze_seconds")
    if seconds is None or live.get("owner") == "postgresql":
        return ""
    return _("writes would stand still for about {time}").format(time=short_time(seconds))


def short_time(seconds: float) -> str:
    """Below a second with two places: that is where a freeze should be."""
    return f"{seconds:.2f} s" if seconds < 1 else words.seconds(seconds)


def closed(status: Status) -> bool:
    """Whether the clean-up after the cutover has begun: then nothing is kept current any more."""
    phases = status.get("phases") or ()
    return any(p["name"] == "cleanup" and p["state"] in ("running", "done") for p in phases)


def loses(status: Status) -> str:
    """What going back would mean just now; "" where the run has not said. Before the cutover only reads have moved."""
    live = status.get("live") or {}
    if closed(status):
        return filled(BACK, "way_back_closed", {})
    if live.get("owner") != "postgresql" and is_live(status):
        share = (status.get("switch") or {}).get("percentage")
        return filled(BACK, "reads_only" if share else "nothing", {})
    back = live.get("back")
    if not back:
        return ""
    params = back.get("params") or {}
    return filled(BACK, "blocked_by" if params.get("reason") else str(back.get("code")), params)


def back_seconds(status: Status) -> float | None:
    """How long going back takes, None while nobody knows."""
    back = {} if closed(status) else (status.get("live") or {}).get("back") or {}
    found = back.get("seconds", (back.get("params") or {}).get("seconds"))
    return float(found) if isinstance(found, int | float) else None


def back_line(status: Status) -> str:
    """What going back loses and how long it takes."""
    what, seconds = loses(status), back_seconds(status)
    line = _("going back now: {what}").format(what=what) if what else ""
    if seconds is None:
        return line
    takes = _("it takes about {time}").format(time=words.seconds(seconds))
    return words.clauses((line, takes)) if line else takes


def in_the_way(status: Status) -> Iterator[str]:
    """Rows that could not be carried, in either direction."""
    live = status.get("live") or {}
    if live.get("poison"):
        yield _("rows set aside, because the new side can't hold them: {count}").format(count=_number(live["poison"]))
        yield from _set_aside(live.get("set_aside") or {})
    if live.get("blockers"):
        text = _("values in the way back, because SQLite can't hold them: {count}")
        yield text.format(count=_number(live["blockers"]))


def _set_aside(found: Mapping[str, Any]) -> Iterator[str]:
    """The first few of them; the report has all."""
    for row in (found.get("rows") or ())[:_NAMED]:
        place = words.about(clean_line(str(row["table"])), key_text(row["key"]))
        column = _(", column {column}").format(column=clean_line(row["column"])) if row["column"] else ""
        yield f"  {place}{column}: {clean_line(known(str(row['reason'])))}"


def _number(found: object) -> str:
    return words.count(
        found if isinstance(found, int | float) else len(found) if isinstance(found, list | tuple) else None
    )


def owner_line(status: Status) -> str:
    """Which side owns the writes, "" for a run that has not said."""
    owner = (status.get("live") or {}).get("owner") or (status.get("switch") or {}).get("owner")
    if not owner:
        return ""
    sides = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    return _("writes go to {side}").format(side=sides.get(str(owner), clean_line(str(owner))))


def live_lines(status: Status) -> Iterator[str]:
    """Everything about the live part, for `status`; of a run that has been cleaned up, only who owns the writes now."""
    live = status.get("live") or {}
    yield from filter(None, (owner_line(status),))
    if closed(status):
        return
    if (lag := known_lag(status)) is not None:
        yield lag_line(lag)
    wal, switch = status.get("wal"), status.get("switch")
    log = [words.about(_("WAL"), words.clauses(wal_lines(wal)))] if wal is not None else []
    yield from _dated(
        (wal, in_place_lines(status) if is_in_place(status) else log),
        (live, (log_line(live), verifier_line(live))),
        (switch, switch_lines(switch) if switch is not None else ()),
        (live, (freeze_line(live), back_line(status), *in_the_way(status))),
    )


def switch_event(event: Mapping[str, Any]) -> Iterator[str]:
    """Reads were moved, by whom and why."""
    text = _("reads to the new side: {now} %")
    if event.get("from") is not None:
        text = _("reads to the new side: {before} % → {now} %")
    line = text.format(before=percent(event.get("from")), now=percent(event.get("to")))
    told = [str(event[key]) for key in ("by", "reason") if event.get(key)]
    yield f"{line} ({words.listed(known(clean_line(t)) for t in told)})" if told else line


def rolled_back_event(event: Mapping[str, Any]) -> Iterator[str]:
    """Reads were moved back by the guard."""
    why = signal(event)
    head = _("READS MOVED BACK to the old side from {percent} %").format(percent=percent(event.get("from")))
    yield words.about(head, why) if why else head


def cutover_event(event: Mapping[str, Any]) -> Iterator[str]:
    """A moment of the cutover."""
    yield words.about(_("cutover"), cutover_moment(event))


def cutover_moment(event: Mapping[str, Any]) -> str:
    """What happened, without saying that it belongs to the cutover."""
    return _moment(MOMENTS, event)


def capture_event(event: Mapping[str, Any]) -> Iterator[str]:
    """Something about change capture; codes of their own (`capture_installed`) are told the same way."""
    yield _moment(CAPTURES, event)


def _moment(table: Mapping[str, str], event: Mapping[str, Any]) -> str:
    what = str(event.get("what") or str(event["event"]).partition("_")[2] or event["event"])
    own = {k: v for k, v in event.items() if k not in ("event", "time", "run", "seq", "what", "params")}
    return filled(table, what, {**own, **(event.get("params") or {})})


def other_event(event: Mapping[str, Any]) -> Iterator[str]:
    """An event that is one sentence with parameters."""
    params = {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in event.items()}
    yield filled(TOLD, str(event["event"]), params)


def observing_event(event: Mapping[str, Any]) -> Iterator[str]:
    """The cutover is over, the way back stays open."""
    yield _("observing: PostgreSQL owns the writes, and the engine keeps the way back to SQLite open")


def strategies() -> Iterator[str]:
    """What each strategy does."""
    return (_(text) for text in STRATEGIES.values())
