"""The wizard's app: which screens there are and how one gets from one to another. State comes from the bridge."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.screen import Screen

from screens.bindings import bindings
from screens.continuing import Continuing
from screens.control_watch import ControlWatch
from screens.crashing import Crashing
from screens.glyphs import ASCII, UNICODE
from screens.palette import ActionCommands
from screens.plain_signs import PlainSigns
from screens.typeahead import TypeAheadGuard
from screens.watching import Watching
from screens.widgets.guarded import in_background
from stepflow_tui.actions import Scope
from stepflow_tui.bridge import WizardOptions
from stepflow_tui.engine.errors import ConfigError, StepFlowError
from stepflow_tui.facade import Facade, RunInfo
from stepflow_tui.keymap import check_keymap, full_keymap

SLOW_SECONDS = 2.0
RUN_MODES = ("plan", "run", "journal")


class StepFlowApp(TypeAheadGuard, PlainSigns, Continuing, Crashing, Watching, ControlWatch):
    """StepFlow's wizard."""

    TITLE = "StepFlow"
    CSS_PATH = "../screens/app.tcss"
    COMMANDS: ClassVar[set[Any]] = {ActionCommands}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.APP)]
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, api: Facade, options: WizardOptions) -> None:
        super().__init__()
        self.api = api
        self.options = options
        self.glyphs = ASCII if options.ascii else UNICODE
        self.events: deque[Mapping[str, Any]] = deque()
        self.refresh_seconds = SLOW_SECONDS if options.slow else 1.0
        self.theme = "ansi-dark" if options.slow else "textual-dark"
        self.set_class(options.ascii, "-ascii")
        self.animation_level = "none"

    def on_mount(self) -> None:
        """Open what was asked for."""
        self.call_after_refresh(gc.enable)
        self.add_mode("home", _screen("picker", "PickerScreen"))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: self.exit(return_code=143))
        if self.options.open_run is not None:
            self.open_run(self.options.open_run)
            return
        self.switch_mode("home")
        if self.options.new_run is not None:
            self.begin(self.options.new_run)

    def open_run(self, run: RunInfo) -> None:
        """Watch a run and show it on fresh screens."""
        self.watch_run(run)
        in_background(self, self._show_run(run), group="open", exclusive=True)

    async def _show_run(self, run: RunInfo) -> None:
        if self.current_mode != "home":
            if "home" not in self._modes:
                self.add_mode("home", _screen("picker", "PickerScreen"))
            await self.switch_mode("home")
        for mode in RUN_MODES:
            if mode in self._modes:
                await self.remove_mode(mode)
            self.add_mode(mode, _screen(mode, f"{mode.capitalize()}Screen"))
        await self._use_keymap(run)  # before it is seen: a key must not change its meaning under the hand
        await self.switch_mode("run")
        self.show_snapshot()

    async def _use_keymap(self, run: RunInfo) -> None:
        """The keys that the run's config asks for; without a readable one, the usual ones."""
        with suppress(StepFlowError):
            self.set_keymap(full_keymap(await asyncio.to_thread(self.api.run_keymap, run)))

    def begin(self, config: Path, *, new: bool = False) -> None:
        """Start, resume or attach to the run of a config."""
        if not self.refused():
            in_background(self, self._begin(config, new=new), group="begin", exclusive=True)

    async def _begin(self, config: Path, *, new: bool) -> None:
        try:
            loaded = await asyncio.to_thread(self.api.load_config, config, self.options.env, (check_keymap,))
        except ConfigError as error:
            self.open_config(config, error)
            return
        started = await self.api.start(
            loaded,
            state=self.options.state,
            until=None,
            plan_file=None,
            new=new,
            yes=False,
            confirm=None,
            interactive=True,
        )
        self.open_run(started.run)

    def open_config(self, config: Path, error: ConfigError | None = None) -> None:
        """Show what is wrong with a config; if only the value of a variable is missing, ask for it."""
        from screens.config import ConfigScreen
        from screens.modals.missing import ask_missing

        if error is None or not ask_missing(self, error, self.options.env, lambda: self.begin(config)):
            self.push_screen(ConfigScreen(config))

    def action_plan(self) -> None:
        """F2."""
        self._show("plan")

    def action_run(self) -> None:
        """F3."""
        self._show("run")

    def action_journal(self) -> None:
        """F4."""
        self._show("journal")

    def action_home(self) -> None:
        """F5."""
        self.go_home()

    def _show(self, mode: str) -> None:
        if self.bridge is None:
            return
        if len(self.screen_stack) > 1 and not self.screen.is_modal:  # the report lies above one of them
            self.pop_screen()
        self.switch_mode(mode)
        self.call_after_refresh(self.show_snapshot)

    def go_home(self) -> None:
        """Leave the run and show the list of runs."""
        self.stop_watching()
        self.switch_mode("home")

    def action_close(self) -> None:
        """Close what lies on top; the last screen stays."""
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def action_help(self) -> None:
        """F1, ?."""
        from screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_command_palette(self) -> None:
        """:, ctrl+p."""
        from screens.palette import Palette

        if not Palette.is_open(self):
            self.push_screen(Palette())

    def action_detach(self) -> None:
        """Leave at once."""
        self.leave()

    def action_quit_menu(self) -> None:
        """q, ctrl+c: with an open run ask what is to become of it."""
        from screens.modals.quit import QuitMenu

        if isinstance(self.screen, QuitMenu) or self.bridge is None:
            self.leave()
        else:
            self.push_screen(QuitMenu())

    def leave(self) -> None:
        """End this front end; the exit code is the run's, if it has ended, and 1 if its engine is lost."""
        status = self.snapshot.status if self.snapshot is not None else {}
        lost = any(alert["code"] == "engine_lost" for alert in status.get("alerts") or ())
        self.exit(return_code=int(status.get("exit_code") or lost))


def _screen(module: str, name: str) -> Callable[[], Screen[Any]]:
    """A screen that is imported when it is first opened."""

    def make() -> Screen[Any]:
        from importlib import import_module

        screen: Screen[Any] = getattr(import_module(f"screens.{module}"), name)()
        return screen

    return make
