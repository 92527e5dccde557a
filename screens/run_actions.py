"""What an operator can ask of a run from its screen: go on, pause, undo, end, tick, look again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from textual import events
from textual.screen import Screen

from screens.host import app_of, host
from screens.modals.confirm import ConfirmTyped
from screens.modals.text import TextDialog
from screens.panels.steps import StepsPanel
from screens.run_reasons import resumable, why_not
from screens.run_words import SETTLED, Status, item_words
from screens.widgets.guarded import in_background
from stepflow_tui.actions import ACTIONS
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _
from stepflow_tui.facade import Checked
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.findings import findings_lines
from stepflow_tui.render.live import is_in_place

ACTING = frozenset(action.method for action in ACTIONS if action.acts)
"""Actions that a read-only session refuses."""


class Steering(Screen[None]):
    """The acting half of the run screen."""

    snapshot: Snapshot | None = None

    @property
    def status(self) -> Status:
        """The newest status, empty before the first one."""
        return self.snapshot.status if self.snapshot is not None else {}

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what can't be done now."""
        return None if self._why_not(action) else True

    def _why_not(self, action: str) -> str:
        """Why an action can't be done now; a session that only watches says so before it asks for a name."""
        if action in ACTING and host(self).options.read_only:
            return _("This session is read-only: it watches and changes nothing.")
        return why_not(action, self.status)

    def on_key(self, event: events.Key) -> None:
        """A key whose action can't be done now: say why."""
        found = self.active_bindings.get(event.key)
        if found is not None and not found.enabled and found.node is self:
            event.stop()
            self.say(self._why_not(found.binding.action))

    def say(self, text: str) -> None:
        """A word to the operator."""
        if text:
            self.notify(clean_line(text), markup=False)

    def action_continue(self) -> None:
        """Answer the open gate; a run without an engine goes on."""
        from screens.modals.gate import GateDialog

        if self.snapshot is None:
            return
        if resumable(self.status):
            self._start_again()
        else:
            self.app.push_screen(GateDialog(self.snapshot))

    def action_pause(self) -> None:
        """Pause, or go on."""
        host(self).act("resume" if self.status.get("state") in ("pausing", "paused") else "pause")

    def action_abort(self) -> None:
        """End the run, once the name is typed."""
        lines = [
            _("The run ends for good; the database keeps the mode it is in until the run is rolled back.")
            if is_in_place(self.status)
            else _("The run ends for good; what it made in the target stays until it is rolled back.")
        ]
        self._typed(_("Abort {run}?"), lines, "abort", {})

    def _typed(self, heading: str, lines: list[str], verb: str, args: dict[str, Any]) -> None:
        if self.snapshot is None:
            return

        def answered(name: str | None) -> None:
            if name is not None:
                host(self).act(verb, {**args, "confirm": name})

        name = str(self.status.get("name"))
        self.app.push_screen(ConfirmTyped(heading.format(run=clean_line(self.snapshot.run)), lines, name), answered)

    def action_tick(self) -> None:
        """Tick the selected item."""
        from screens.modals.tick import TickDialog

        chosen = self.query_one(StepsPanel).selected()
        if chosen is None or chosen[0] != "item":
            self.say(_("Select a manual check in panel 0 first."))
            return
        item = chosen[1]
        if item["kind"] != "manual":
            self.say(_("StepFlow decides this one by itself."))
        elif item["state"] in SETTLED:
            self.say(_("Already settled: {item}").format(item=item_words(item)))
        else:
            due = {**item, "phase": item.get("before") or ""}
            self.app.push_screen(TickDialog(due), lambda note: self._tick(str(item["id"]), note))

    def _tick(self, item: str, note: str | None) -> None:
        if note:
            host(self).act("tick", {"item": item, "note": note})

    def action_recheck(self) -> None:
        """Run the preflight checks again, aside: nothing is changed."""
        if self.snapshot is not None:
            self.say(_("Checking. This changes nothing."))
            in_background(self, self._recheck(self.snapshot.path), group="recheck", exclusive=True)

    async def _recheck(self, run: Path) -> None:
        app = host(self)

        def work() -> Checked:
            config = app.api.remains(run)["config"]
            loaded = app.api.load_config(Path(str(config)), app.options.env)
            return asyncio.run(_checked(app.api.check(loaded, state=app.options.state)))

        checked = await asyncio.to_thread(work)
        app_of(self).push_screen(
            TextDialog(_("Checked again"), [*self._aside(), *findings_lines(checked.findings)], name="check")
        )

    def _aside(self) -> list[str]:
        """Once the run has written to the target, the checks of an empty target say so."""
        phases = self.status.get("phases") or ()
        if is_in_place(self.status):
            return []
        if all(p["state"] == "pending" for p in phases[1:]):
            return []
        return [_("This run has written to the target already: that it is not empty is to be expected."), ""]

    def _start_again(self) -> None:
        assert self.snapshot is not None
        config = host(self).api.remains(self.snapshot.path).get("config")
        if config:
            self.say(_("Starting the engine again."))
            host(self).begin(Path(str(config)))
        else:
            self.say(_("The run's folder doesn't say which config it was started with."))


async def _checked(check: Any) -> Checked:
    checked: Checked = await check
    return checked
