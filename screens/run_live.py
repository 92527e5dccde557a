"""What an operator can ask of a live run besides: move reads, move them back, cut over, go back, end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from screens.host import host
from screens.run_actions import Steering
from screens.run_reasons import observed
from screens.run_words import Status
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.application import configured, moves_application
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.events import lost
from stepflow_tui.render.guards import back_facts
from stepflow_tui.render.in_place import restore_lines
from stepflow_tui.render.live import in_the_way, is_in_place, is_live, is_offline

LIVE_ONLY = frozenset({"switch", "back", "cutover"})
"""Actions that only live runs have."""

IN_PLACE_LACKS = frozenset({"switch", "cutover", "panel-3"})
IN_PLACE_HELP = {
    "back": N_(
        "Go back: to the old journal mode with everything written since (the same key again), or to the tested backup."
        " [stepflow rollback]"
    ),
    "rollback": N_("Go back, like B: to the old journal mode, or to the tested backup."),
    "pause": N_("Pause the engine at the next moment it can, or let a paused engine go on."),
    "abort": N_("End the run; asks for its name. The database keeps the mode it is in until the run is rolled back."),
    "application": N_(
        "Show what the run changes on the application's side: lines of settings, commands, and how each is undone."
    ),
}
"""Sentences of actions that do something else where the database stays in its place."""


class LiveSteering(Steering):
    """The acting half of the run screen, with what live runs add to it."""

    def hides_key(self, action: str) -> bool:
        """The last line shows what a run of this sort never has only where it has it."""
        if action not in LIVE_ONLY or is_live(self.status):
            return False
        own = "back" if is_in_place(self.status) else "cutover" if is_offline(self.status) else ""
        return action != own

    def lacks(self, action: str) -> bool:
        """What this run can never do: where the database stays in its place nothing is switched."""
        return is_in_place(self.status) and action in IN_PLACE_LACKS

    def key_help(self, action: str) -> str:
        """What an action does in a run whose database stays in its place, where that is something else."""
        return _(IN_PLACE_HELP.get(action, "")) if is_in_place(self.status) and action in IN_PLACE_HELP else ""

    def action_continue(self) -> None:
        """An observation is ended; else the open gate is answered."""
        if observed(self.status):
            self._clean_up()
        elif (self.status.get("gate") or {}).get("phase") in moves_application(self.status):
            self._application_first(super().action_continue)
        else:
            super().action_continue()

    def _clean_up(self) -> None:
        lines = [
            _("The observation ends: the way back is closed, and what the run made is removed from both databases."),
            _("Old tables and the old file stay; they are renamed at most, never dropped."),
        ]
        if is_in_place(self.status):
            lines = [_("The watching ends, and the run completes. You can still go back afterwards.")]
            self._typed(_("End the watching? {run}"), lines, "cleanup", {})
            return
        self._typed(_("Clean up {run}?"), lines, "cleanup", {})

    def action_switch(self) -> None:
        """Choose a percentage."""
        from screens.modals.switch import SwitchDialog

        if self.snapshot is not None:
            self.app.push_screen(SwitchDialog(self.snapshot))

    def action_back(self) -> None:
        """All reads to the old side, once the key is pressed again; where there is no other side, the way back."""
        if is_in_place(self.status):
            self.action_rollback()
            return
        from screens.modals.switch import ReadsBack

        if self.snapshot is not None:
            self.app.push_screen(ReadsBack(self.snapshot), self._reads_back)

    def _reads_back(self, yes: bool | None) -> None:
        if yes:
            host(self).act("switch_back", {})

    def action_cutover(self) -> None:
        """Move writes, once the name is typed; what changes on the application's side is shown before."""
        if is_offline(self.status):
            self.action_continue()  # nothing is measured beforehand there: the gate asks all there is to ask
        else:
            self._application_first(self._ask_cutover)

    def _ask_cutover(self) -> None:
        from screens.modals.cutover import CutoverDialog

        if self.snapshot is not None:
            self.app.push_screen(CutoverDialog(self.snapshot), self._cut_over)

    def action_application(self) -> None:
        """What the switch of the application changes."""
        from screens.modals.application import ApplicationDialog

        if self.snapshot is not None:
            self.app.push_screen(ApplicationDialog(self.snapshot.path))

    def _application_first(self, then: Callable[[], None]) -> None:
        """Go on at once where no application is configured, else when its page was read."""
        from screens.modals.application import ApplicationPage

        if self.snapshot is None or not configured(self.status):
            then()
            return
        page = ApplicationPage(self.snapshot.path)
        self.app.push_screen(page, lambda _answer: then() if page.seen else None)

    def _cut_over(self, name: str | None) -> None:
        if name is not None:
            host(self).act("continue", {"phase": "cutover", "confirm": name})

    def action_rollback(self) -> None:
        """Undo, once a reason and the name are typed."""
        from screens.modals.rollback import RollbackDialog

        if self.snapshot is None:
            return
        if is_in_place(self.status):
            self._go_back(self.snapshot)
            return
        heading = _("Roll back {run}?").format(run=clean_line(self.snapshot.run))
        dialog = RollbackDialog(heading, list(rollback_lines(self.status)), str(self.status.get("name")))
        self.app.push_screen(dialog, lambda name: self._roll_back(name, dialog.reason))

    def _go_back(self, snapshot: Snapshot) -> None:
        from screens.modals.wal_back import WalBack

        self.app.push_screen(WalBack(snapshot), lambda way: self._chosen_way(way, snapshot))

    def _chosen_way(self, way: str | None, snapshot: Snapshot) -> None:
        """The old mode at once: nothing is lost by it; the backup once a reason and the name are typed."""
        from screens.modals.rollback import RollbackDialog
        from screens.modals.wal_back import MODE, RESTORE

        name = str(self.status.get("name"))
        if way == MODE:
            host(self).act("rollback", {"reason": _("back to the old journal mode"), "confirm": name})
        elif way == RESTORE:
            heading = _("Restore the backup? {run}").format(run=clean_line(snapshot.run))
            dialog = RollbackDialog(heading, list(restore_lines(self.status)), name)
            self.app.push_screen(dialog, lambda typed: self._roll_back(typed, dialog.reason, restore=True))

    def _roll_back(self, name: str | None, reason: str, *, restore: bool = False) -> None:
        if name is not None:
            wanted = {"restore": True} if restore else {}
            host(self).act("rollback", {"reason": reason, "confirm": name, **wanted})


def rollback_lines(status: Status) -> Iterator[str]:
    """What it undoes, loses, and takes."""
    losses = (status.get("rollback") or {}).get("loses") or ()
    yield _("What the run did is undone, the last step first.")
    facts = list(back_facts(status))
    if not facts or not all(str(x).startswith("nothing") for x in losses):  # the facts say how nothing is lost
        yield _("It loses {losses}").format(losses="; ".join(clean_line(lost(x)) for x in losses) or _("nothing"))
    yield from facts
    yield from in_the_way(status)
