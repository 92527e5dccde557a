"""A variable that a config needs and nobody has set: asked for, kept in memory, then what was wanted is done again."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from typing import Any

from textual import on
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.widgets import Button, Input

from screens.modals.base import Dialog, Lines, title
from screens.widgets.choices import Choices
from stepflow_tui.engine.errors import ConfigError, StepFlowError
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.clean import clean_line

_MISSING = re.compile(r".*: the variable (\w+) (?:isn't set|is empty) \(.*\)")
_ADDRESS = "postgresql://user:password@host:5432/database"


def missing_variables(error: StepFlowError) -> tuple[str, ...]:
    """The variables whose values are all that a config lacks; empty where anything else is wrong with it."""
    found = [_MISSING.fullmatch(line) for line in error.detail.splitlines() if line]
    if not isinstance(error, ConfigError) or not all(found):
        return ()
    return tuple(dict.fromkeys(match[1] for match in found if match is not None))


def ask_missing(
    app: App[Any], error: StepFlowError, env: MutableMapping[str, str], again: Callable[[], object]
) -> bool:
    """Ask for the first variable that is missing, then do it again; False where that is not what is wrong."""
    names = missing_variables(error)
    if not names:
        return False

    def typed(value: str | None) -> None:
        if value:
            env[names[0]] = value
            again()

    app.push_screen(AskVariable(names[0]), typed)
    return True


class AskVariable(Dialog[str]):
    """One value, hidden while it is typed."""

    AUTO_FOCUS = "Input"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._variable = name

    def compose(self) -> ComposeResult:
        """What for, and where to type."""
        with Vertical(classes="box"):
            yield title(_("The config needs the variable {name}").format(name=clean_line(self._variable)))
            yield Lines(
                [
                    _("Its value is not in the file, and this shell has not set it."),
                    _("Type it here; it stays in memory until you leave. For an address:"),
                    f"  {_ADDRESS}",
                ]
            )
            yield Input(compact=True, password=True, max_length=4096)
            yield Choices([("cancel", _("Cancel")), ("use", _("Use it"))])

    def on_mount(self) -> None:
        """Nothing is typed yet."""
        self.query_one("#use", Button).disabled = True

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#use", Button).disabled = not event.value.strip()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._answer()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "use":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        value = self.query_one(Input).value.strip()
        if value:
            self.dismiss(value)
