"""What an action is called on a screen as it is now: the table's words, or the screen's own where they mean something else."""

from __future__ import annotations

from textual.screen import Screen

from stepflow_tui.actions import Action
from stepflow_tui.engine.texts.language import _


def label_of(screen: Screen[object], action: Action) -> str:
    """A word or two (`key_label` of the screen)."""
    own = getattr(screen, "key_label", None)
    return (own(action.id) if own is not None else "") or _(action.label)


def help_of(screen: Screen[object], action: Action) -> str:
    """One sentence (`key_help` of the screen)."""
    own = getattr(screen, "key_help", None)
    return (own(action.id) if own is not None else "") or _(action.help)


def is_senseless(screen: Screen[object], name: str) -> bool:
    """Whether the run that is shown can never have this action (`lacks` of the screen)."""
    own = getattr(screen, "lacks", None)
    return bool(own is not None and own(name))
