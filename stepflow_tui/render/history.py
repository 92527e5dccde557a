"""Events as lines of a log and of the history: time, level, topic and what was said; intents, states and notes too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from stepflow_tui.engine.model.events import FAMILIES
from stepflow_tui.engine.texts import findings, shown
from stepflow_tui.engine.texts.language import N_, _, known, ngettext
from stepflow_tui.engine.texts.running import ALERTS, OWN_PHASES, OWN_STEPS, PHASES, STEPS
from stepflow_tui.engine.texts.switching import CAPTURES, MOMENTS, TOLD
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean, clean_line
from stepflow_tui.render.events import alert_text, event_lines
from stepflow_tui.render.findings import finding_of
from stepflow_tui.render.live import cutover_moment
from stepflow_tui.render.width import pad

LONGEST = 4000
"""Characters of an event's line: an error may hold a value of megabytes."""

LIVE = (
    *(f"capture_{what}" for what in CAPTURES),
    *("switch", "switch_rolled_back"),
    *(f"cutover_{what}" for what in MOMENTS),
    "observing",
    *TOLD,
)
"""Events of live runs."""

KINDS: dict[str, tuple[str, ...]] = {
    N_("all"): (),
    N_("steps"): ("run_started", "phase", "step", "state", "run_finished", *LIVE),
    N_("findings"): ("finding", "discrepancy"),
    N_("alerts"): ("alert", "error"),
    N_("intents"): ("intent", "gate"),
    N_("notes"): ("note",),
    N_("audit"): (),
}
"""What the history can be narrowed to, with the codes of events; the audit is a list of its own."""
AUDIT = "audit"


class Stamp(IntEnum):
    """How much of a time is shown: the characters of `2026-11-22 12:04:31` that are left out."""

    FULL = 0
    DAY = 5
    TIME = 11


_TOPICS = {
    "run_started": N_("run"),
    "run_finished": N_("run"),
    "phase": N_("phase"),
    "step": N_("step"),
    "finding": N_("finding"),
    "gate": N_("gate"),
    "alert": N_("alert"),
    "discrepancy": N_("diff"),
    "error": N_("error"),
    "capture": N_("capture"),
    "switch": N_("switch"),
    **dict.fromkeys(
        ("switch_rolled_back", "switch_rearmed", "switch_suspended", "switch_resumed", "switch_refused"), "switch"
    ),
    "tables_copied_again": N_("capture"),
    "rejects_settled": N_("capture"),
    "rows_reconciled": N_("cutover"),
    "log_not_tended": N_("capture"),
    "writes_taken_back": N_("cutover"),
    "rows_given_up": N_("cutover"),
    "cutover": N_("cutover"),
    "observing": N_("run"),
    "wal_converted": "WAL",
    "wal_watching": "WAL",
    "wal_restored": "WAL",
    "state": N_("state"),
    "intent": N_("intent"),
    "note": N_("remark"),
}
_SIDES = {"offline": N_("window"), "application": N_("service")}
"""Topics by how a code begins."""
TOPIC_CELLS = 8
LEVEL_CELLS = 5


def level_of(event: Mapping[str, Any]) -> str:
    """How loud an event is: INFO, WARN, ALERT or ERROR."""
    match event["event"]:
        case "error":
            return "ERROR"
        case "alert":
            return "INFO" if event.get("state") in ("resolved", "acknowledged") else "ALERT"
        case "finding":
            return {"blocking": "ERROR", "warning": "WARN"}.get(str(event.get("severity")), "INFO")
        case "discrepancy":
            return "WARN"
        case "switch_rolled_back" | "switch_refused" | "rows_given_up" | "tables_copied_again":
            return "ALERT"
        case "capture_broken" | "capture_disturbed" | "cutover_failed" | "cutover_taken_back" | "cutover_not_rehearsed":
            return "ALERT"
        case "return_blocked" | "gate_not_opened":
            return "ERROR"
        case "return_disturbed":
            return "ALERT"
        case "application_failed":
            return "ALERT"
        case "offline_waits" | "offline_locked_out" | "offline_lock_kept" | "offline_from_zero":
            return "WARN"
        case "switch_suspended" | "log_not_tended":
            return "WARN"
        case "step" | "phase":
            return "ERROR" if event.get("state") == "failed" else "INFO"
        case _:
            return "INFO"


_LEVELS = {"INFO": N_("INFO"), "WARN": N_("WARN"), "ALERT": N_("ALERT"), "ERROR": N_("ERROR")}


def said(event: Mapping[str, Any], kind: str = "") -> list[str]:
    """What an event says, in one line or several; at least one. `kind`: of the run, some titles depend on it."""
    own = _OWN.get(_family(str(event["event"])))
    lines = own(event) if own is not None else [line.strip("= ") for line in event_lines(event, kind)]
    return [clean_line(line)[:LONGEST] for line in lines] or [_plain(event)]


def _family(code: str) -> str:
    """The code, or what several begin with."""
    return code.partition("_")[0] if code.startswith(FAMILIES) else code


def history_lines(event: Mapping[str, Any], stamp: Stamp = Stamp.TIME, kind: str = "") -> list[str]:
    """An event as lines of the log: `12:04:31 INFO  step    Copy the rows: running`; further lines are indented."""
    first, *more = said(event, kind)
    head = history_head(event, stamp)
    return [head + first, *(" " * history_indent(stamp) + line for line in more)]


def history_head(event: Mapping[str, Any], stamp: Stamp = Stamp.TIME) -> str:
    """Time, level and topic."""
    time = str(event.get("time") or "")[:19].replace("T", " ")
    code = str(event["event"])
    topic = _TOPICS.get(_family(code)) or _SIDES.get(code.partition("_")[0], code)
    level = pad(_(_LEVELS[level_of(event)]), LEVEL_CELLS)
    return clean_line(f"{time[stamp:]} {level} {pad(_(topic), TOPIC_CELLS)} ")


def history_indent(stamp: Stamp = Stamp.TIME) -> int:
    """Cells before what was said."""
    return 19 - stamp + 1 + LEVEL_CELLS + 1 + TOPIC_CELLS + 1


def whole_event(event: Mapping[str, Any], kind: str = "") -> list[str]:
    """An event in words and as JSON, nothing left out."""
    text = json.dumps(dict(event), indent=2, ensure_ascii=False, default=str)
    head, *more = history_lines(event, Stamp.FULL, kind)
    told = list(event_lines(event)) if event["event"] == "finding" else more
    return [head, *told, "", *(clean(line) for line in text.split("\n"))]


def audit_event(row: Mapping[str, Any], run: str) -> dict[str, Any]:
    """An audit entry in the shape of an event."""
    time = datetime.fromtimestamp(row["at_ms"] / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = json.loads(row["data"]) if isinstance(row["data"], str) else row["data"]
    parts = {"n": row["n"], "who": row["who"], "host": row["host"], "act": row["act"], "data": data}
    return {"event": "audit", "time": time, "run": run, "seq": row["n"], **parts}


def chain_line(verdict: Mapping[str, Any]) -> str:
    """Whether the audit chain is whole."""
    count, state = words.count(verdict["entries"]), str(verdict["state"])
    if state == "whole":
        text = ngettext("audit chain whole: {count} entry", "audit chain whole: {count} entries", verdict["entries"])
        return text.format(count=count)
    if state == "no_key":
        return _("audit chain can't be checked: its key is not in this state directory")
    text = _("audit chain {state} at entry {at} of {count}")
    return text.format(state=words.term(state), at=verdict.get("at") or "?", count=count)


CHAIN_STATES = (N_("edited"), N_("truncated"), N_("rewritten"))


Named = tuple[str, str, list[str]]


def written(needle: str) -> str:
    """A text as JSON writes it."""
    return json.dumps(needle, ensure_ascii=False)[1:-1]


def _all(texts: Mapping[str, str], own: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """Titles by name, with those that kinds and modes have of their own."""
    return [*texts.items(), *(pair for table in own.values() for pair in table.items())]


def named(needle: str) -> list[Named]:
    """Events whose words in the language in use hold a text that the journal doesn't: code, key, names."""
    wanted = needle.casefold()

    def fitting(texts: Iterable[tuple[str, str]]) -> list[str]:
        return list(dict.fromkeys(name for name, text in texts if wanted in _(text).casefold()))

    phases = fitting(_all(PHASES, OWN_PHASES))
    found = [
        ("step", "step", fitting(_all(STEPS, OWN_STEPS))),
        ("phase", "phase", phases),
        ("gate", "phase", phases),
        ("finding", "code", fitting((code, words_of.what) for code, words_of in findings().items())),
        ("alert", "code", fitting(ALERTS.items())),
    ]
    topics = [(code, "", list[str]()) for code in fitting(_TOPICS.items())]
    return [*(n for n in found if n[2]), *topics]


def _finding(event: Mapping[str, Any]) -> list[str]:
    """What was found and how to fix it; the level says how heavy it is, the whole entry why it matters."""
    words_of = shown(finding_of(event))
    fixes = words_of.fix.splitlines()[:1]
    return [words.about(str(event["code"]), words_of.what), *(_("fix: {text}").format(text=line) for line in fixes)]


def _alert(event: Mapping[str, Any]) -> list[str]:
    text = alert_text(str(event["code"]), event.get("params") or {})
    if event.get("state") == "raised":
        return [text]
    return [f"{text} ({words.term(event.get('state') or '')})"]


def _intent(event: Mapping[str, Any]) -> list[str]:
    text = _("{verb} by {who}: {state}")
    line = text.format(verb=event.get("verb"), who=event.get("who"), state=words.term(event.get("state") or ""))
    answer = event.get("answer")
    reason = answer.get("message") or answer.get("text") if isinstance(answer, Mapping) else answer
    return [words.about(line, known(str(reason))) if reason else line]


def _state(event: Mapping[str, Any]) -> list[str]:
    return [f"{words.term(event.get('from') or '')} → {words.term(event.get('to') or '')}"]


def _note(event: Mapping[str, Any]) -> list[str]:
    return [words.about(str(event.get("who")), event.get("text"))]


def _cutover(event: Mapping[str, Any]) -> list[str]:
    return [cutover_moment(event)]


def _audit(event: Mapping[str, Any]) -> list[str]:
    data = json.dumps(event["data"], ensure_ascii=False, sort_keys=True) if event.get("data") else ""
    return [f"{event['who']} {event['act']} {data}".rstrip()]


def _plain(event: Mapping[str, Any]) -> str:
    data = {k: v for k, v in event.items() if k not in ("event", "time", "run", "seq")}
    return clean_line(json.dumps(data, ensure_ascii=False, default=str))[:LONGEST]


_OWN = {
    "finding": _finding,
    "alert": _alert,
    "intent": _intent,
    "state": _state,
    "note": _note,
    "audit": _audit,
    "cutover": _cutover,
}


def ndjson(events: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    """One JSON object per event."""
    return (json.dumps(dict(event), ensure_ascii=False, default=str) for event in events)
