"""The cutover: what it means, how long writes stand still, which guards hold, and the run's name."""

from __future__ import annotations

from collections.abc import Sequence

from screens.host import host
from screens.modals.base import Lines
from screens.modals.confirm import ConfirmTyped
from screens.modals.switch import guards_shown
from screens.run_words import Status
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.guards import cutover_facts, cutover_guards


class CutoverDialog(ConfirmTyped):
    """Moves writes once the name is typed. The rehearsal's figures change under it while it is open."""

    def __init__(self, snapshot: Snapshot) -> None:
        heading = _("Cut over {run}: move writes to PostgreSQL?").format(run=clean_line(snapshot.run))
        super().__init__(heading, (), str(snapshot.status.get("name")))
        self._status: Status = snapshot.status

    def said(self) -> Sequence[str]:
        """What it means, then the guards."""
        return [*cutover_facts(self._status), *guards_shown(cutover_guards(self._status), host(self).glyphs)]

    def choices(self) -> list[tuple[str, str]]:
        """A rehearsal is always possible."""
        return [("cancel", _("Cancel")), ("rehearse", _("Rehearse")), ("yes", _("Cut over"))]

    def chosen(self, choice: str) -> None:
        """Rehearse without closing: its figures appear here."""
        if choice == "rehearse":
            host(self).act("rehearse")
        else:
            super().chosen(choice)

    def apply(self, snapshot: Snapshot) -> None:
        """Show the newest figures."""
        if not self.is_mounted:
            return
        before, self._status = self.said(), snapshot.status
        now = self.said()
        if now != before:
            self.query_one(Lines).show(now)
