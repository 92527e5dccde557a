"""What an attached wizard owes the others: renewing control while it holds it, and telling who asks for it or took it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from textual import on

from screens.acting import Acting
from screens.widgets.guarded import in_background
from stepflow_tui.bridge import Bridge, Snapshot, SnapshotArrived
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.alerts import lost_engine
from stepflow_tui.render.clean import clean_line

RENEW_BELOW_SECONDS = 40
"""Control lasts a minute: it is renewed once a third of that is gone."""
TOLD_SECONDS = 15.0

Control = Mapping[str, Any]


class ControlWatch(Acting):
    """An app that holds control as long as it is attached, and shows what becomes of it."""

    snapshot: Snapshot | None
    _seen: Control = {}  # noqa: RUF012 - replaced, never changed
    _renewing: bool = False
    _lost: str = ""

    @on(SnapshotArrived)
    def _look_after_control(self, message: SnapshotArrived) -> None:
        bridge, snapshot = self.bridge, message.snapshot
        if bridge is None or snapshot.run != bridge.run.id:
            return
        before, self._seen = self._seen, dict(snapshot.status.get("control") or {})
        if before.get("run") == snapshot.run:
            self._tell(before, self._seen, bridge.who)
        self._seen = {**self._seen, "run": snapshot.run}
        self._renew(bridge, snapshot)
        self._watch_engine(snapshot)

    def action_control(self) -> None:
        """C: who steers, and what can be done about it."""
        from screens.modals.control import ControlDialog

        if self._known(self.snapshot):
            self.push_screen(ControlDialog(self.snapshot))

    def action_alerts(self) -> None:
        """a: the open alerts."""
        from screens.modals.alerts import AlertsDialog

        if self._known(self.snapshot):
            self.push_screen(AlertsDialog(self.snapshot))

    def action_note(self) -> None:
        """m: a note for audit and report."""
        from screens.modals.note import NoteDialog

        if self.bridge is not None and not self.refused():
            self.push_screen(NoteDialog(), self._noted)

    def _known(self, snapshot: Snapshot | None) -> TypeGuard[Snapshot]:
        """Whether anything was read of the run yet; if not, it says so: "no alerts" would be a guess."""
        if snapshot is not None and snapshot.status:
            return True
        self.notify(_("The state of this run is not known."), severity="warning", markup=False)
        return False

    def _noted(self, text: str | None) -> None:
        if text:
            self.act("note", {"text": text})

    def _tell(self, before: Control, now: Control, me: str) -> None:
        was, holder, asked = before.get("holder"), now.get("holder"), now.get("asked_by")
        if was == me and holder not in (me, None):
            self._say(_("{who} steers this run now.").format(who=clean_line(str(holder))))
        elif was not in (me, None) and holder == me:
            self._say(_("You steer this run now."))
        elif before.get("asked_by") == me and was not in (me, None) and holder is None:
            self._say(_("Nobody steers this run any more; C takes control."))
        if holder == me and asked not in (None, before.get("asked_by")):
            self._say(_("{who} asks for control; C hands it over.").format(who=clean_line(str(asked))))

    def _say(self, text: str) -> None:
        self.notify(text, title=_("Control"), timeout=TOLD_SECONDS, markup=False)

    def _renew(self, bridge: Bridge, snapshot: Snapshot) -> None:
        mine = self._seen.get("holder") == bridge.who
        due = mine and int(self._seen.get("seconds_left") or 0) <= RENEW_BELOW_SECONDS
        alive = (snapshot.status.get("engine") or {}).get("alive")
        if due and alive and not self._renewing and not self.options.read_only:
            self._renewing = True
            in_background(self, self._hold(bridge), group="hold")

    async def _hold(self, bridge: Bridge) -> None:
        try:
            await bridge.send("hold", {})
        except StepFlowError as error:  # taken, or the engine has ended: the next look shows which
            self.log.warning(f"control was not renewed: {error.code}")
        finally:
            self._renewing = False

    def _watch_engine(self, snapshot: Snapshot) -> None:
        """Open the dialog once per loss: whoever closed it wants to look around."""
        from screens.modals.engine_lost import EngineLost

        lost = snapshot.run if lost_engine(snapshot.status) is not None else ""
        if lost and lost != self._lost:
            self.push_screen(EngineLost(snapshot))
        self._lost = lost
