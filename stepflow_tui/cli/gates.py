"""Answering the questions of an open gate on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stepflow_tui.cli import diagnostics
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.events import question_text, summary

if TYPE_CHECKING:
    from stepflow_tui.cli.session import Session
    from stepflow_tui.facade import Facade, RunInfo


ACCEPT_REST = "!"


async def answer_gate(
    session: Session, engine: Facade, run: RunInfo, event: Mapping[str, Any], *, front: str = ""
) -> bool:
    """Ask everything a gate wants to know, and send the answers. `front` names a terminal that stays with the run.

    Returns:
        Whether the run may go on.
    """
    questions: Sequence[Mapping[str, Any]] = event.get("questions") or ()
    diagnostics.say(_("Before {phase}:").format(phase=words.phase(str(event["phase"]))))
    unticked = await _tick(session, engine, run, [q for q in questions if q["kind"] == "item"], front)
    if unticked is None:
        return False
    confirm = _typed(run, [q for q in questions if q["kind"] == "typed"])
    if confirm is None or not _accepted([q for q in questions if q["kind"] not in ("item", "typed")]):
        return False
    args = {"phase": event["phase"], "yes": unticked, "confirm": confirm or None}
    await engine.send(run, "continue", args, state=session.state_path, front=front)
    return True


async def _tick(
    session: Session, engine: Facade, run: RunInfo, items: Sequence[Mapping[str, Any]], front: str
) -> bool | None:
    """Have every manual item ticked with a note.

    Returns:
        False when all are ticked, True when the rest is accepted unticked (recorded as such), None when it isn't time yet.
    """
    for number, item in enumerate(items, 1):
        diagnostics.say(f"[{number}/{len(items)}] {question_text(item)}")
        prompt = _("Done how, or by whom? (empty: not yet; {key}: accept the rest unticked)")
        note = diagnostics.ask(prompt.format(key=ACCEPT_REST))
        if not note:
            return None
        if note == ACCEPT_REST:
            return True
        await engine.send(run, "tick", {"item": item["id"], "note": note}, state=session.state_path, front=front)
    return False


def _typed(run: RunInfo, questions: Sequence[Mapping[str, Any]]) -> str | None:
    """The run's name as typed; "" when it isn't asked for, None when it was typed wrongly."""
    if not questions:
        return ""
    for question in questions:
        diagnostics.say(question_text(question))
    name = run.id.rsplit("-", 2)[0]
    return name if diagnostics.ask(_("Type {name} to confirm:").format(name=name)) == name else None


def _accepted(questions: Sequence[Mapping[str, Any]]) -> bool:
    if not questions:
        return True
    for line in summary(questions):
        diagnostics.say(f"  {line}")
    return diagnostics.ask_yes(_("Accept, and go on?"))
