"""Help for the focused panel, and all keys of the screen below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Static

from screens.key_words import help_of, is_senseless, label_of
from screens.modals.base import Dialog, title
from screens.widgets.folded import Fold, Folded
from stepflow_tui.actions import ACTIONS, Action
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words


class HelpScreen(Dialog[None]):
    """Help on top of a screen. It asks nothing, so its keys count at once."""

    ARMED = False
    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,f1,q", "cancel", show=False)]
    DEFAULT_CSS = """
    HelpScreen > .box {
        width: 100%;
        max-width: 100%;
        height: 100%;
        max-height: 100%;
    }
    HelpScreen Static {
        height: auto;
    }
    HelpScreen .about {
        margin-bottom: 1;
    }
    """

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self.about = about

    def compose(self) -> ComposeResult:
        """What the focused part is about, then every key."""
        with Vertical(classes="box"):
            yield title(_("Help"))
            with VerticalScroll():
                for node in explained(self.about):
                    yield Folded(_about(node), classes="about", markup=False)
                yield Static(self._keys(), markup=False)
            yield Static(_("Up and Down scroll, Esc closes."), markup=False)

    def _keys(self) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        shown = self._shown_keys()
        for action in ACTIONS:
            if action.id in shown and not is_senseless(self.about, action.id):
                label, sentence = label_of(self.about, action), _sentence(help_of(self.about, action), action)
                table.add_row(Text(shown[action.id]), Text(label), Fold(Text(sentence)))
        return table

    def _shown_keys(self) -> dict[str, str]:
        """The keys that do it on that screen, by the action's id: those of `keymap:` where a config gives others."""
        found: dict[str, list[str]] = {}
        for active in self.about.active_bindings.values():
            if active.binding.id:
                found.setdefault(active.binding.id, []).append(self.app.get_key_display(active.binding))
        return {name: " ".join(dict.fromkeys(keys)) for name, keys in found.items()}


def explained(screen: Screen[Any]) -> Iterator[DOMNode]:
    """What has a help text: the focused widget or what it lies in, and the screen."""
    nodes = screen.focused.ancestors_with_self if screen.focused is not None else [screen]
    return (node for node in nodes if getattr(node, "HELP", None))


def _about(node: DOMNode) -> Text:
    name, text = getattr(node, "NAME", None), str(getattr(node, "HELP", ""))
    return Text.assemble((words.about(_(name), ""), "bold") if name else "", _(text))


def _sentence(told: str, action: Action) -> str:
    """What it does, and the command that does the same."""
    command = f"stepflow {action.cli}" if action.cli else _(action.only)
    return told if "[stepflow " in told else f"{told} [{command}]"
