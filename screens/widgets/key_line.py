"""The keys that matter on the last line, as one widget: as many as fit, the most important ones always."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import ActiveBinding
from textual.screen import Screen

from screens.panels.base import Value
from stepflow_tui.actions import ACTIONS, Action
from stepflow_tui.engine.texts.language import _

FIRST = (
    "continue",
    "pause",
    "page-next",
    "page-back",
    "section-next",
    "help",
    "quit-menu",
    "cutover",
    "back",
    "switch",
    "run",
    "report",
    "plan",
    "detach",
    "command-palette",
)
"""The last ones to be left out where there is little room; before all of them, what can't be done just now."""

Key = tuple[Action, ActiveBinding, str]


class KeyLine(Value):
    """What the footer shows of the table of actions, in its order."""

    DEFAULT_CSS = """
    KeyLine {
        height: 1;
        background: $footer-background;
        color: $footer-foreground;
        text-wrap: nowrap;
    }
    """

    def on_mount(self) -> None:
        """Follow what can be done."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self, event: events.Resize) -> None:
        """Fit into the new width."""
        self._changed(self.screen)

    def _changed(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self.show(self._line())

    def _line(self) -> Text:
        line = Text(" ")
        for _action, binding, label in self._keys():
            style = "dim" if not binding.enabled else ""
            line.append(self.app.get_key_display(binding.binding), f"bold {style}".strip())
            line.append(f" {label}  ", style)
        return line

    def _keys(self) -> list[Key]:
        keys = list(self._all())
        leave_out = [k for k in reversed(keys) if not k[1].enabled]
        leave_out += [k for k in reversed(keys) if k[1].enabled and k[0].id not in FIRST]
        leave_out += [k for name in reversed(FIRST) for k in keys if k[1].enabled and k[0].id == name]
        room = self.size.width - 1
        while leave_out and sum(map(self._cells, keys)) > room:
            keys.remove(leave_out.pop(0))
        return keys

    def _all(self) -> Iterator[Key]:
        """Of several keys of an action the first one of the table, unless the operator has chosen others."""
        active = self.screen.active_bindings
        hidden = getattr(self.screen, "hides_key", None)
        for action in ACTIONS:
            shown = action.footer and not (hidden is not None and hidden(action.id))
            keys = {k: a for k, a in active.items() if a.binding.id == action.id} if shown else {}
            if keys:
                first = next((k for k in action.keys if k in keys), next(iter(keys)))
                yield action, keys[first], self._label(action)

    def _label(self, action: Action) -> str:
        """The action's own, or what it does on the screen as it is now (`key_label`)."""
        said = getattr(self.screen, "key_label", None)
        return (said(action.id) if said is not None else "") or _(action.label)

    def _cells(self, key: Key) -> int:
        return cell_len(self.app.get_key_display(key[1].binding)) + cell_len(key[2]) + 3

    async def on_click(self, event: events.Click) -> None:
        """A click on a key is that key."""
        at = 1
        for key in self._keys():
            width = self._cells(key)
            if at <= event.x < at + width and key[1].enabled:
                await self.app.run_action(key[1].binding.action, key[1].node)
                return
            at += width
