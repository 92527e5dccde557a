"""Keys that move in a list of lines, and bindings of the table of actions for parts of a screen."""

from __future__ import annotations

from textual.binding import Binding

from screens.widgets.line_list import LineList
from stepflow_tui.actions import BY_ID
from stepflow_tui.engine.texts.language import _

MOVES = (
    Binding("up,k", "move('up')", show=False),
    Binding("down,j", "move('down')", show=False),
    Binding("pageup", "move('page_up')", show=False),
    Binding("pagedown", "move('page_down')", show=False),
    Binding("home,g", "move('first')", show=False),
    Binding("end,G", "move('last')", show=False),
)


class Moving:
    """Something whose keys move in a list."""

    @property
    def listed(self) -> LineList:
        """The list."""
        raise NotImplementedError

    def action_move(self, how: str) -> None:
        """Move the cursor or the window."""
        self.listed.move(how)


def actions(*ids: str) -> list[Binding]:
    """Bindings of some actions, for a part of a screen that does them itself."""
    return [
        Binding(
            ",".join(BY_ID[i].keys),
            BY_ID[i].method,
            _(BY_ID[i].label),
            show=BY_ID[i].footer,
            id=i,
            tooltip=_(BY_ID[i].help),
        )
        for i in ids
    ]
