"""Textual bindings made from the table of actions."""

from __future__ import annotations

from textual.binding import Binding

from stepflow_tui.actions import ACTIONS, Scope
from stepflow_tui.engine.texts.language import _

OF_THE_APP = frozenset({"plan", "run", "journal", "home", "detach", "alerts", "note", "control"})
"""Actions that screens of a run list and the app carries out."""


def bindings(scope: Scope) -> list[Binding]:
    """The bindings of a screen (or of the app), with their stable ids, labels in the language in use.

    Call it when the class is made: the language is chosen before any screen is imported.
    """
    return [
        Binding(
            ",".join(action.keys),
            f"app.{action.method}" if action.id in OF_THE_APP else action.method,
            _(action.label),
            show=action.footer,
            id=action.id,
            tooltip=_(action.help),
        )
        for action in ACTIONS
        if scope in action.scopes
    ]
