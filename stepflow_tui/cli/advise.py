"""`init --advise`: three questions and what was measured, and the kind of migration that fits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stepflow_tui.cli import diagnostics, output
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.advice import QUESTIONS
from stepflow_tui.engine.texts.language import _
from stepflow_tui.facade import facade
from stepflow_tui.render import advice as texts
from stepflow_tui.render import words

if TYPE_CHECKING:
    from stepflow_tui.engine.model.advice import Answers

YES = ("y", "yes", "true", "1")
NO = ("n", "no", "false", "0")


def recommend(
    session: Session,
    source: str | None,
    *,
    writers: int | None,
    locked: str | None,
    users: int | None,
    requests: float | None,
) -> int:
    """Measure the source, ask what is not answered by options, and say which kind fits.

    Without a source, an answer and a terminal: the table of kinds.
    """
    from stepflow_tui.engine.model.advice import Answers

    given = Answers(writers=writers, locked=yes_or_no(locked) if locked else None, users=users, requests=requests)
    asking = diagnostics.interactive(session)
    if source is None and given == Answers() and not asking:
        return _table(session)
    facts = asyncio.run(facade().survey(source)) if source is not None else {}
    if asking and facts.get("source", "sqlite") == "sqlite":
        given = _asked(given)
    return _tell(session, facts, given)


def _table(session: Session) -> int:
    if session.globals.json:
        output.emit_object({"kinds": texts.kinds_json()})
        return 0
    for line in texts.kind_lines():
        output.emit_text(line)
    return 0


def _tell(session: Session, facts: Mapping[str, Any], answers: Answers) -> int:
    advice = facade().advise(facts, answers)
    if session.globals.json:
        output.emit_object(texts.advice_json(advice, facts))
        return 0
    for name, value in texts.source_rows(facts) if facts else ():
        output.emit_text(words.about(name, value))
    for line in texts.advice_lines(advice):
        output.emit_text(line)
    return 0


def _asked(given: Answers) -> Answers:
    """The answers that were not given as options; an empty line means: not known."""
    from stepflow_tui.engine.model.advice import Answers

    known = {name: getattr(given, name) for name in QUESTIONS}
    for name, question in QUESTIONS.items():
        if known[name] is None:
            answer = diagnostics.ask(f"{_(question)} {_('(Enter: not known)')}")
            known[name] = (yes_or_no(answer) if name == "locked" else number(answer)) if answer else None
    return Answers(
        writers=None if known["writers"] is None else int(known["writers"]),
        locked=known["locked"],
        users=None if known["users"] is None else int(known["users"]),
        requests=known["requests"],
    )


def number(text: str) -> float:
    """A figure as typed. Raises UsageError."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e12:
        raise diagnostics.UsageError(
            f"{text!r} is no number.", hint="Answer with digits, such as 12.", code="no_number"
        )
    return found


def yes_or_no(text: str) -> bool:
    """An answer as typed. Raises UsageError."""
    word = text.lower()
    if word not in YES + NO:
        raise diagnostics.UsageError(f"{text!r} is neither yes nor no.", hint="Answer yes or no.", code="yes_or_no")
    return word in YES
