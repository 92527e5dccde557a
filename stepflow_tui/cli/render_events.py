"""Journal events as plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepflow_tui.cli import words
from stepflow_tui.cli.output import clean_line
from stepflow_tui.cli.render_findings import finding_lines, finding_of
from stepflow_tui.engine.texts.checklist import item_title
from stepflow_tui.engine.texts.running import ALERTS, PHASES, step_title


def event_lines(event: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one event; none for events that are not for people."""
    render = _LINES.get(str(event["event"]))
    if render is not None:
        yield from (clean_line(line) for line in render(event))


def _run_started(event: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'resumed' if event.get('resumed') else 'started'} {event['run']} ({event.get('kind')}, {event.get('environment')})"


def _phase(event: Mapping[str, Any]) -> Iterator[str]:
    title = PHASES.get(event["phase"]) or words.spaced(event["phase"])
    if event["state"] == "running":
        yield f"== {title}"
    elif event["state"] != "pending":
        yield f"== {title}: {event['state']}"


def _step(event: Mapping[str, Any]) -> Iterator[str]:
    took = (
        f" in {words.seconds(event['seconds'])}"
        if event.get("seconds") is not None and event["state"] in ("done", "failed")
        else ""
    )
    yield f"   {step_title(event['step'])}: {event['state']}{took}"


def _finding(event: Mapping[str, Any]) -> Iterator[str]:
    yield from finding_lines(finding_of(event))


def _gate(event: Mapping[str, Any]) -> Iterator[str]:
    if event["state"] != "open":
        yield f"gate before {words.spaced(event['phase'])}: {event['state']}"
        return
    questions = event.get("questions") or ()
    yield f"gate before {words.spaced(event['phase'])}: {len(questions)} questions"
    for line in summary(questions):
        yield f"   {line}"


SHOWN_NAMES = 4


def summary(questions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The questions of a gate, those of one sort on one line: fifty warnings of one code are one thing to think about."""
    warnings: dict[str, list[str]] = {}
    for question in questions:
        params = question.get("params") or {}
        if question["kind"] == "warning":
            warnings.setdefault(str(params.get("code", question["id"])), []).append(str(params.get("object") or ""))
    for code, objects in warnings.items():
        times = f"{len(objects)} × " if len(objects) > 1 else ""
        yield f"accept the warning {times}{code}{_names([o for o in objects if o])}"
    yield from (question_text(q) for q in questions if q["kind"] in ("object", "plan", "typed"))
    items = [str(q["id"]) for q in questions if q["kind"] == "item"]
    if items:
        yield f"tick {len(items)} checklist items: {', '.join(items)}"


def _names(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f" ({', '.join(names[:SHOWN_NAMES])}{more})"


def question_text(question: Mapping[str, Any]) -> str:
    """One question of a gate."""
    params = question.get("params") or {}
    about = f" ({params['object']})" if params.get("object") else ""
    texts = {
        "warning": f"accept the warning {params.get('code', question['id'])}{about}",
        "item": f"{item_title(str(question['id']))} ({question['id']})",
        "object": f"go without {params.get('type', '')} {params.get('name', question['id'])}: {params.get('reason', '')}",
        "plan": "go on with this plan",
        "typed": f"confirm {words.spaced(str(params.get('step', question['id'])))}; going back would lose: {params.get('loses') or 'nothing'}",
    }
    return texts.get(str(question.get("kind")), str(question["id"]))


def _alert(event: Mapping[str, Any]) -> Iterator[str]:
    template = ALERTS.get(str(event["code"]), str(event["code"]))
    try:
        text = template.format_map(event.get("params") or {})
    except (KeyError, ValueError, IndexError):  # written by another version: its text has other parameters
        text = template
    yield f"alert {event.get('severity')} {event.get('state')}: {text}"


def _discrepancy(event: Mapping[str, Any]) -> Iterator[str]:
    column = f".{event['column']}" if event.get("column") else ""
    yield f"DIFFERENT {event['table']}{column} {event.get('key')}: {event.get('class')}: {event.get('cause') or ''}"


def _error(event: Mapping[str, Any]) -> Iterator[str]:
    yield f"error: {event['message']}"
    if event.get("detail"):
        yield f"  {event['detail']}"
    yield f"  hint: {event['hint']}"
    yield f"  code: {event['code']}"


def _finished(event: Mapping[str, Any]) -> Iterator[str]:
    report = f"; report: {event['report']}" if event.get("report") else ""
    yield f"{event['result']} (exit {event['exit_code']}){report}"


_LINES = {
    "run_started": _run_started,
    "phase": _phase,
    "step": _step,
    "finding": _finding,
    "gate": _gate,
    "alert": _alert,
    "discrepancy": _discrepancy,
    "error": _error,
    "run_finished": _finished,
}
