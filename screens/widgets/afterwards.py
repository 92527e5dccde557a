"""Doing something once the next frame is drawn, if what it is about is still there by then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from textual.css.query import NoMatches
from textual.widget import Widget


def afterwards(widget: Widget, action: Callable[..., Any], *args: Any) -> None:
    """Call `action(*args)` after the next refresh of `widget`.

    A page may be turned, or the app be left, before that frame: a widget that goes away loses its parts first, and nothing is
    left to be shown.
    """

    def late() -> None:
        if widget.is_attached and widget.is_running:
            with suppress(NoMatches):
                action(*args)

    widget.call_after_refresh(late)
