"""What the switch of the application changes: lines of its settings, commands in their order, and how each is undone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Button

from screens.host import host
from screens.modals.base import title
from screens.modals.text import TextDialog
from screens.widgets.afterwards import afterwards
from screens.widgets.choices import Choices
from screens.widgets.guarded import in_background
from screens.widgets.line_list import LineList
from stepflow_tui.engine.texts.language import _, ngettext
from stepflow_tui.facade import Facade
from stepflow_tui.render.application_plan import plan_lines


class ApplicationDialog(TextDialog):
    """The plan of the switch, to read. It is there at once, and filled when everything has been looked at."""

    def __init__(self, run: Path) -> None:
        looking = _("Looking. This changes nothing.")
        super().__init__(_("What the switch of the application changes"), [looking], name="application")
        self._run_dir = run

    def on_mount(self) -> None:
        """Look."""
        super().on_mount()
        in_background(self, self._look(), group="application", exclusive=True)

    async def _look(self) -> None:
        app = host(self)
        self.tell(await asyncio.to_thread(planned, app.api, self._run_dir, app.options.env))


class ApplicationPage(ApplicationDialog):
    """The same before a confirmation: whoever goes on has had it before the eyes. `seen` tells whether somebody went on."""

    ARMED: ClassVar[bool] = True
    AUTO_FOCUS = "#cancel"

    def __init__(self, run: Path) -> None:
        super().__init__(run)
        self.seen = False

    def compose(self) -> ComposeResult:
        """Heading, text, answers."""
        with Vertical(classes="box"):
            yield title(self._heading)
            yield LineList(wrap=True)
            yield Choices([("cancel", _("Cancel")), ("go-on", _("Go on"))])

    def tell(self, text: str | Sequence[str]) -> None:
        """Show another text, and whether all of it is in sight."""
        super().tell(text)
        afterwards(self, self._say_more)

    @on(LineList.Moved)
    def _say_more(self) -> None:
        """Who confirms should know that there is more to read."""
        window = self.listed.window
        below = max(0, window.total - window.top - window.height)
        text = ngettext("{count} more line, PgDn", "{count} more lines, PgDn", below).format(count=below)
        self.query_one(".box").border_subtitle = Content(text if below else "")

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        self.seen = event.button.id == "go-on"
        self.dismiss(None)


def planned(api: Facade, run: Path, env: Mapping[str, str]) -> Sequence[str]:
    """The plan's lines, from the config that a run was started with. Blocks: call it in a thread.

    Raises:
        StepFlowError: the config can't be used any more.
    """
    config = api.remains(run)["config"]
    if config is None:
        return [_("The run's folder doesn't say which config it was started with.")]
    loaded = api.load_config(Path(str(config)), env)

    async def looked() -> Mapping[str, Any]:
        return await api.application_plan(loaded, look=True)

    return list(plan_lines(asyncio.run(looked())))
