"""Page: which of the four kinds of migration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.widget import Widget
from textual.widgets import OptionList

from screens.host import host
from screens.setup.page import Page
from screens.setup.state import SetupState
from screens.widgets.pick_list import Line, PickList
from screens.widgets.said import Said
from stepflow_tui.engine.texts.advice import BUILT, KINDS, NOT_FOR
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.advice import verdict


class KindPage(Page):
    """The four kinds; those of later versions can be read about, not chosen."""

    NAME: ClassVar[str] = N_("Kind")
    INTRO: ClassVar[str] = N_("What kind of migration is it?")

    def ask(self) -> Iterable[Widget]:
        """The list, and what was recommended."""
        yield PickList(id="kinds")
        advice = self.state.advice
        yield Said(id="not-for")
        yield Said(
            _("Advice of the page before: {verdict}").format(verdict=verdict(advice)) if advice else "", id="advised"
        )

    def on_mount(self) -> None:
        """Fill the list."""
        listed = self.query_one(PickList)
        listed.show([Line(id=kind, text=self._line(kind), off=kind not in BUILT) for kind in KINDS])
        listed.go_to(self.state.kind)

    def _line(self, kind: str) -> Text:
        glyphs = host(self).glyphs
        built = kind in BUILT
        line = Text()
        line.append(f"{glyphs.now if built else glyphs.skipped} {kind}", style="bold" if built else "dim")
        if not built:
            line.append(f"  {_('comes with a later version')}", style="italic dim")
        line.append(f"\n  {_(KINDS[kind])}\n", style="" if built else "dim")
        return line

    @on(OptionList.OptionHighlighted)
    def _looked_at(self, event: OptionList.OptionHighlighted) -> None:
        self.query_one("#not-for", Said).show(_(NOT_FOR.get(str(event.option_id), "")))

    @on(OptionList.OptionSelected)
    def _picked(self) -> None:
        self.post_message(self.Done())

    def gathered(self) -> SetupState:
        """The kind the cursor is on."""
        return replace(self.state, kind=self.query_one(PickList).current or self.state.kind)
