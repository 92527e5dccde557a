"""Journal events as plain lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stepflow_tui.engine.model.events import FAMILIES
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.texts.checklist import item_title
from stepflow_tui.engine.texts.language import _, inner, known, ngettext
from stepflow_tui.engine.texts.running import ALERTS, step_title
from stepflow_tui.engine.texts.switching import TOLD
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.findings import finding_lines, finding_of
from stepflow_tui.render.live import (
    capture_event,
    cutover_event,
    observing_event,
    other_event,
    rolled_back_event,
    switch_event,
)
from stepflow_tui.render.tables import key_text


def public_event(row: Mapping[str, Any], run: str) -> dict[str, Any]:
    """A journal row as `run --json` prints it, with its `seq`."""
    return {"event": str(row["code"]), "time": iso_utc(row["at_ms"]), "run": run, "seq": row["seq"], **row["data"]}


def event_lines(event: Mapping[str, Any], kind: str = "") -> Iterator[str]:
    """The lines of one event; none for events that are not for people. `kind`: of the run, where it is known."""
    event = {**event, KIND: kind} if kind and KIND not in event else event
    code = str(event["event"])
    render = _LINES.get(code.partition("_")[0] if code.startswith(FAMILIES) else code)
    if render is not None:
        yield from (clean_line(line) for line in render(event))


KIND = "kind"
"""Some phases and steps have other titles in one kind of migration."""


def _kind(event: Mapping[str, Any]) -> str:
    return str(event.get(KIND) or "")


def _run_started(event: Mapping[str, Any]) -> Iterator[str]:
    text = (
        _("resumed {run} ({kind}, {environment})")
        if event.get("resumed")
        else _("started {run} ({kind}, {environment})")
    )
    yield text.format(run=event["run"], kind=event.get("kind"), environment=event.get("environment"))


def _phase(event: Mapping[str, Any]) -> Iterator[str]:
    title = words.phase(event["phase"], _kind(event))
    if event["state"] == "running":
        yield f"== {title}"
    elif event["state"] != "pending":
        yield f"== {words.about(title, words.term(event['state']))}"


def _step(event: Mapping[str, Any]) -> Iterator[str]:
    step, state = known(step_title(event["step"], _kind(event))), words.term(event["state"])
    if event.get("seconds") is not None and event["state"] in ("done", "failed"):
        yield "   " + _("{step}: {state} in {time}").format(
            step=step, state=state, time=words.seconds(event["seconds"])
        )
    else:
        yield f"   {words.about(step, state)}"


def _finding(event: Mapping[str, Any]) -> Iterator[str]:
    yield from finding_lines(finding_of(event))


def _gate(event: Mapping[str, Any]) -> Iterator[str]:
    phase = words.phase(event["phase"], _kind(event))
    if event["state"] != "open":
        yield _("gate before {phase}: {state}").format(phase=phase, state=words.term(event["state"]))
        return
    questions = event.get("questions") or ()
    count = len(questions)
    yield ngettext("gate before {phase}: {count} question", "gate before {phase}: {count} questions", count).format(
        phase=phase, count=count
    )
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
        yield _("accept the warning {code}").format(code=f"{times}{code}{_names([o for o in objects if o])}")
    yield from (question_text(q) for q in questions if q["kind"] in ("object", "plan", "typed"))
    items = [str(q["id"]) for q in questions if q["kind"] == "item"]
    if items:
        text = ngettext("tick {count} checklist item: {items}", "tick {count} checklist items: {items}", len(items))
        yield text.format(count=len(items), items=", ".join(items))


def _names(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(names[:SHOWN_NAMES])
    if len(names) > SHOWN_NAMES:
        listed = _("{names} and {count} more").format(names=listed, count=len(names) - SHOWN_NAMES)
    return f" ({listed})"


def question_text(question: Mapping[str, Any]) -> str:
    """One question of a gate."""
    params = question.get("params") or {}
    ask = _QUESTIONS.get(str(question.get("kind")))
    return ask(str(question["id"]), params) if ask is not None else str(question["id"])


def _ask_warning(name: str, params: Mapping[str, Any]) -> str:
    about = f" ({params['object']})" if params.get("object") else ""
    return _("accept the warning {code}").format(code=f"{params.get('code', name)}{about}")


def _ask_item(name: str, params: Mapping[str, Any]) -> str:
    # titles of the config's own items are the operator's words
    return f"{params.get('title') or _(item_title(name))} ({name})"


def _ask_object(name: str, params: Mapping[str, Any]) -> str:
    text = _("go without {type} {name}: {reason}")
    reason = known(str(params.get("reason", "")))
    return text.format(type=words.term(params.get("type", "")), name=params.get("name", name), reason=reason)


def _ask_plan(name: str, params: Mapping[str, Any]) -> str:
    return _("go on with this plan")


def _ask_typed(name: str, params: Mapping[str, Any]) -> str:
    text = _("confirm {step}; going back loses {loses}")
    return text.format(step=words.phrase(str(params.get("step", name))), loses=lost(params.get("loses")))


def lost(loses: object) -> str:
    """What going back would lose, or "nothing"."""
    return known(str(loses)) if loses else _("nothing")


_QUESTIONS = {
    "warning": _ask_warning,
    "item": _ask_item,
    "object": _ask_object,
    "plan": _ask_plan,
    "typed": _ask_typed,
}


def _alert(event: Mapping[str, Any]) -> Iterator[str]:
    text = alert_text(str(event["code"]), event.get("params") or {})
    head = _("alert {severity} {state}: {text}")
    yield head.format(severity=words.term(event.get("severity")), state=words.term(event.get("state")), text=text)


def alert_text(code: str, params: Mapping[str, Any]) -> str:
    """An alert's sentence in the language in use; an unknown code is shown as itself."""
    template = _(ALERTS.get(code, code))
    try:
        return template.format_map(_Given({k: _shown(k, v) if isinstance(v, str) else v for k, v in params.items()}))
    except (ValueError, IndexError):  # written by another version: its text has other parameters
        return template


class _Given(dict[str, object]):
    """Parameters; what isn't known (an acknowledgement carries none) is left open."""

    def __missing__(self, key: str) -> str:
        return "…"


def _shown(name: str, value: str) -> str:
    return words.throttle(value) if name == "reason" and value in words.THROTTLES else inner(value)


def _discrepancy(event: Mapping[str, Any]) -> Iterator[str]:
    yield different_line(event)


def different_line(found: Mapping[str, Any]) -> str:
    """One difference on one line."""
    column = f".{found['column']}" if found.get("column") else ""
    text = _("DIFFERENT {place} {key}: {verdict}").format(
        place=f"{found['table']}{column}", key=key_text(found.get("key")), verdict=words.term(found.get("class"))
    )
    return words.about(text, known(found["cause"])) if found.get("cause") else text


def _error(event: Mapping[str, Any]) -> Iterator[str]:
    yield _("error: {text}").format(text=known(event["message"]))
    if event.get("detail"):
        yield f"  {known(event['detail'])}"
    yield "  " + _("hint: {text}").format(text=known(event["hint"]))
    yield "  " + _("code: {text}").format(text=event["code"])


def _finished(event: Mapping[str, Any]) -> Iterator[str]:
    text = _("{result} (exit {code})").format(result=words.term(event["result"]), code=event["exit_code"])
    yield text + (_("; report: {path}").format(path=event["report"]) if event.get("report") else "")


def _indented(render: Callable[[Mapping[str, Any]], Iterator[str]]) -> Callable[[Mapping[str, Any]], Iterator[str]]:
    """Below the phase or step it happens in."""
    return lambda event: (f"   {line}" for line in render(event))


_LINES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "run_started": _run_started,
    "phase": _phase,
    "step": _step,
    "finding": _finding,
    "gate": _gate,
    "alert": _alert,
    "discrepancy": _discrepancy,
    "error": _error,
    "run_finished": _finished,
    "capture": _indented(capture_event),
    "switch": _indented(switch_event),
    "switch_rolled_back": _indented(rolled_back_event),
    "cutover": _indented(cutover_event),
    "observing": observing_event,
    **{code: _indented(other_event) for code in TOLD},
}
