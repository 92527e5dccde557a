"""A run's status, and the list of runs, as text. The status is the object that `status --json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.texts.language import N_, _, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.application import application_lines
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.control import control_lines
from stepflow_tui.render.events import lost
from stepflow_tui.render.live import live_lines
from stepflow_tui.render.window import window_lines

_MARKS = {"done": "✓", "running": "▶", "failed": "✗", "skipped": "–", "undone": "↶", "pending": " "}

RUNS_HEAD = (N_("run"), N_("kind"), N_("environment"), N_("state"), N_("phase"), N_("result"), N_("engine"))


def run_row(run: Mapping[str, Any]) -> tuple[object, ...]:
    """One line of `runs`."""
    engine = _("alive") if run.get("engine_alive") else ""
    named = (words.term(run[key]) if run.get(key) else None for key in ("state", "phase", "result"))
    return (run["id"], run.get("kind"), run.get("environment"), *named, engine)


def status_lines(status: Mapping[str, Any], *, signs: bool = True) -> Iterator[str]:
    """Everything worth knowing, the most important first. Without `signs`, states are words: for who can't see a tick."""
    yield clean_line(_head(status))
    yield from _engine(status.get("engine") or {})
    control = status.get("control") or {}
    if control.get("holder") or control.get("asked_by"):
        yield from control_lines(control)
    for phase in status.get("phases") or ():
        yield _marked(words.phrase(phase["name"]), phase["state"], signs=signs)
        for step in phase.get("steps") or ():
            yield "  " + _step(step, signs=signs)
    if status.get("progress"):
        yield _("progress: {text}").format(text=words.progress(status["progress"]))
    yield from map(clean_line, live_lines(status))
    yield from window_lines(status)
    yield from application_lines(status, signs=signs)
    yield from _tables(status.get("tables") or (), stays=status.get("kind") in IN_PLACE)
    yield from _gate(status.get("gate"))
    for alert in status.get("alerts") or ():
        yield clean_line(_alert(alert))
    back = status.get("rollback") or {}
    if back.get("possible"):
        loses = words.clauses(map(lost, back.get("loses") or ())) or _("nothing")
        yield _("rollback is possible; it would lose: {loses}").format(loses=loses)


def _head(status: Mapping[str, Any]) -> str:
    run, state = status["run"], words.term(status["state"])
    if not status.get("phase"):
        return words.about(run, state)
    return _("{run}: {state} in {phase}").format(run=run, state=state, phase=words.phrase(status["phase"]))


def _alert(alert: Mapping[str, Any]) -> str:
    text = _("alert {severity}: {code}")
    if alert.get("since"):  # unknown of a lost engine
        text = _("alert {severity}: {code} since {time}")
    line = text.format(severity=words.term(alert["severity"]), code=alert["code"], time=alert.get("since"))
    return f"{line} {_('(acknowledged)')}" if alert.get("acknowledged") else line


def _engine(engine: Mapping[str, Any]) -> Iterator[str]:
    if not engine.get("alive"):
        yield _("engine: not running")
        return
    beat = engine.get("heartbeat_seconds")
    quiet = beat is not None and beat > 5
    text = _("engine: pid {pid}, not responding for {time}") if quiet else _("engine: pid {pid}")
    yield text.format(pid=engine.get("pid"), time=words.seconds(beat))


def _marked(name: str, state: str, *, signs: bool) -> str:
    return f"{_MARKS.get(state, ' ')} {name}" if signs else words.about(name, words.term(state))


def _step(step: Mapping[str, Any], *, signs: bool) -> str:
    line = _marked(_(step.get("title") or words.spaced(step["name"])), step["state"], signs=signs)
    if step.get("seconds") is not None:
        line += f" ({words.seconds(step['seconds'])})"
    if step.get("progress") and step["state"] == "running":
        line = words.about(line, words.progress(step["progress"]))
    return clean_line(line)


def _tables(tables: Any, *, stays: bool) -> Iterator[str]:
    off = [t for t in tables if t.get("diff")]
    rows = sum(t.get("source_rows") or (t.get("target_rows") if stays else 0) or 0 for t in tables)
    if tables:
        text = _("tables: {tables}, {rows} rows") if stays else _("tables: {tables}, {rows} rows in the source")
        yield text.format(tables=len(tables), rows=words.count(rows))
    for table in off[:20]:
        text = (
            _("{source}: {count} rows more or less than before the conversion ({state})")
            if stays
            else _("{source} → {target}: {count} rows difference ({state})")
        )
        state = words.term(table["state"])
        yield "  " + clean_line(
            text.format(source=table["source"], target=table["target"], count=words.count(table["diff"]), state=state)
        )
    if len(off) > 20:
        yield "  " + _("and {count} more; `stepflow report` lists all").format(count=len(off) - 20)


def _gate(gate: Mapping[str, Any] | None) -> Iterator[str]:
    if gate and gate.get("state", "open") == "open":
        count = len(gate.get("questions") or ())
        text = ngettext(
            "waiting before {phase}: `stepflow continue` answers {count} question",
            "waiting before {phase}: `stepflow continue` answers {count} questions",
            count,
        )
        yield text.format(phase=words.phrase(str(gate.get("phase"))), count=count)
