"""The config screen: a config file with its problems line by line, or, when it has none, the way to its run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import OptionList

from screens.bindings import bindings
from screens.config_text import Problem, numbered, problem_line, problems_of, read_text
from screens.host import host
from screens.modals.missing import missing_variables
from screens.widgets.guarded import in_background
from screens.widgets.key_line import KeyLine
from screens.widgets.pick_list import Line, PickList
from screens.widgets.said import Said
from stepflow_tui.actions import Scope
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import N_, _, ngettext
from stepflow_tui.keymap import check_keymap
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a config file holds. `problems` empty: it can be started."""

    text: str
    problems: tuple[Problem, ...] = ()
    lacks: tuple[str, ...] = ()
    """Variables whose values are all that is missing: they can be typed."""
    name: str = ""
    kind: str = ""


class ConfigScreen(Screen[None]):
    """One config file."""

    NAME = N_("Config")
    HELP = N_(
        "The problems of this file stand above, its text below with the lines marked. Correct it in an editor, then press "
        "r. When nothing is wrong any more, Enter or c starts its run: checks, backup and plan first, then it asks."
    )
    CSS_PATH = "config.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.CONFIG)]

    def __init__(self, config: Path) -> None:
        super().__init__()
        self.config = config
        self.read: Read | None = None

    def compose(self) -> ComposeResult:
        """Title, verdict, problems, text."""
        yield Said(id="title")
        yield Said(id="verdict")
        yield PickList(id="problems")
        with VerticalScroll(id="file"):
            yield Said(id="text")
        yield KeyLine()

    def on_mount(self) -> None:
        """Read it."""
        separator = host(self).glyphs.separator
        self.query_one("#title", Said).show(f" StepFlow {separator} {clean_line(str(self.config))}")
        self.action_reread()

    def action_reread(self) -> None:
        """r: read the file again."""
        in_background(self, self._read(), group="read", exclusive=True)

    async def _read(self) -> None:
        self.show(await asyncio.to_thread(self._look))

    def _look(self) -> Read:
        text = read_text(self.config)
        try:
            config = host(self).api.load_config(self.config, host(self).options.env, (check_keymap,)).config
        except StepFlowError as error:
            return Read(text=text, problems=problems_of(error, self.config), lacks=missing_variables(error))
        return Read(text=text, name=config.name, kind=config.kind.value)

    def show(self, read: Read) -> None:
        """Show what was read."""
        self.read = read
        self.query_one("#verdict", Said).show(_verdict(read))
        listed = self.query_one(PickList)
        listed.show([Line(id=str(n), text=problem_line(p, self.config)) for n, p in enumerate(read.problems)])
        listed.display = bool(read.problems)
        (listed if read.problems else self.query_one("#file")).focus()
        self._mark(0)
        self.refresh_bindings()

    @on(OptionList.OptionHighlighted)
    def _selected(self, event: OptionList.OptionHighlighted) -> None:
        self._mark(event.option_index)

    def _mark(self, selected: int) -> None:
        """Mark the lines with problems, and bring the selected one into view."""
        if self.read is None:
            return
        marked = {p.line for p in self.read.problems}
        line = self.read.problems[selected].line if selected < len(self.read.problems) else 0
        self.query_one("#text", Said).show(numbered(self.read.text, marked, line, host(self).glyphs.now))
        self.query_one("#file", VerticalScroll).scroll_to(y=max(0, line - 4), animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Starting is greyed out while there are problems."""
        if action == "start" and self.read is not None and self.read.problems and not self.read.lacks:
            return None
        return super().check_action(action, parameters)

    @on(OptionList.OptionSelected)
    def action_start(self) -> None:
        """c, Enter: start or resume the run of a config without problems."""
        if self.read is None or (self.read.problems and not self.read.lacks):
            self.notify(_("Correct the lines that are marked, then press r."), severity="warning", markup=False)
        elif host(self).options.read_only:
            self.notify(
                _("This session is read-only: it watches and changes nothing."), severity="warning", markup=False
            )
        else:
            app, config = host(self), self.config
            self.dismiss(None)
            app.begin(config)


def _verdict(read: Read) -> str:
    count = len(read.problems)
    if read.lacks:
        said = _("This config needs variables that are not set: {names}.").format(names=", ".join(read.lacks))
        return words.sentences(said, _("Enter or c asks for them and starts its run."))
    if count:
        said = ngettext("This config has {n} problem.", "This config has {n} problems.", count).format(n=count)
        return words.sentences(said, _("Correct it in an editor, then press r."))
    said = _("This config can be used: {name}, {kind}.").format(name=read.name, kind=read.kind)
    return words.sentences(said, _("Enter starts its run: checks, backup and plan first, then it asks."))
