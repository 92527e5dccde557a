"""Page: the config file as it will be written, and where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.highlight import highlight
from textual.widget import Widget
from textual.widgets import Input, Static

from screens.host import host
from screens.setup.page import Page, text_field
from screens.setup.state import SetupState
from screens.widgets.said import Said
from stepflow_tui.engine.errors import StepFlowError, UsageError
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.render.clean import clean


class ReviewPage(Page):
    """The YAML, its path, and what happens next."""

    NAME: ClassVar[str] = N_("Review")
    INTRO: ClassVar[str] = N_(
        "This file is written; edit it later as you like. The run then checks both sides, makes a backup and a plan, "
        "and asks before it changes anything."
    )

    def intro(self) -> str:
        """What the run does next."""
        if self.state.in_place:
            return _(
                "This file is written; edit it later as you like. The run then checks the database and what uses it, makes a"
                " tested backup and a plan, and asks before it changes anything."
            )
        return super().intro()

    def ask(self) -> Iterable[Widget]:
        """Path, note, text."""
        yield text_field(_("Write to"), self.state.path, "write-to")
        note = Said(self._note(), id="note")
        note.display = bool(self._note())
        yield note
        yield Static(id="yaml", markup=False)

    def on_mount(self) -> None:
        """Propose a name that is free, and show the text."""
        box = self.query_one("#write-to", Input)
        free = host(self).api.free_path(self._path())
        box.value = str(Path(box.value).with_name(free.name))
        self._draw()

    def _note(self) -> str:
        variable = self.state.variable(host(self).api, host(self).options.env)
        if not variable:
            return ""
        said = _("The password is not in the file. It stays in memory until you leave; before you resume from a shell:")
        return f"{said} export {variable}=…"

    def _path(self) -> Path:
        return self.state.place(self.query_one("#write-to", Input).value.strip())

    def text(self) -> str:
        """The file's text."""
        app = host(self)
        return app.api.config_text(self.state.draft(app.api, app.options.env), self._path())

    @on(Input.Changed)
    def _draw(self) -> None:
        try:
            shown = self.text()
        except StepFlowError as error:
            self.query_one("#yaml", Static).update(clean(known(error.message)))
            return
        self.query_one("#yaml", Static).update(highlight(clean(shown), language="yaml"))

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.post_message(self.Done())

    def gathered(self) -> SetupState:
        """The path."""
        return replace(self.state, path=self.query_one("#write-to", Input).value.strip())

    async def finish(self) -> SetupState:
        """The file, written. Never over another one: then a free name is proposed."""
        app, path = host(self), self._path()
        if app.options.read_only:
            raise UsageError(
                _("This session is read-only: it watches and changes nothing."),
                hint=_("Start StepFlow without --read-only."),
                code="read_only",
            )
        try:
            await asyncio.to_thread(app.api.save_config, path, self.text())
        except StepFlowError as error:
            if error.code == "config_exists":
                box = self.query_one("#write-to", Input)
                box.value = str(Path(box.value).with_name(app.api.free_path(path).name))
                raise UsageError(
                    _("A file of that name is there already; it is left as it is."),
                    hint=_("Another name stands there now; press the key again."),
                    code=error.code,
                ) from error
            raise
        return self.gathered()
