"""Page: who answers for the checklist items that a person settles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.widget import Widget
from textual.widgets import Input

from screens.host import host
from screens.setup.page import Field, Page
from screens.setup.state import SetupState
from screens.widgets.said import Said
from stepflow_tui.engine.texts.checklist import item_title
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words

TITLE_WIDTH = 54


class OwnersPage(Page):
    """A name per item; all of them may stay empty."""

    NAME: ClassVar[str] = N_("Checklist")
    INTRO: ClassVar[str] = N_("Who answers for what a person has to settle? All may stay empty. F8 goes on.")

    def ask(self) -> Iterable[Widget]:
        """The items by time."""
        when = ""
        for at, item in host(self).api.manual_items(self.state.kind):
            if at != when:
                when = at
                yield Said(Text(words.when(at), style="bold"), classes="heading")
            box = Input(
                self.state.owners.get(item, ""), id=f"owner-{item}", compact=True, placeholder=_("nobody named")
            )
            yield Field(_(item_title(item)), box, id=f"field-{item}", width=TITLE_WIDTH)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The whole name of the item the cursor is at: a narrow terminal cuts it in the list."""
        item = str(event.widget.id or "").removeprefix("owner-")
        self.query_one(".intro", Said).show(f"{_(self.INTRO)}\n{_(item_title(item))}" if item else _(self.INTRO))

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.screen.focus_next()

    def gathered(self) -> SetupState:
        """The names that were given."""
        typed = {str(box.id).removeprefix("owner-"): box.value.strip() for box in self.query(Input)}
        return replace(self.state, owners={item: name for item, name in typed.items() if name})
