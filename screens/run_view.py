"""What an operator can do to the view of a run, without touching the run."""

from __future__ import annotations

from screens.host import app_of, host
from screens.run_panels import PanelActions
from screens.watching import PACES
from stepflow_tui.engine.texts.language import _


class Viewing(PanelActions):
    """The looking half of the run screen."""

    frozen = False

    def refreeze(self) -> None:
        """The view was frozen or set free."""

    def action_freeze(self) -> None:
        """Keep what is shown, or go on showing what is new; the engine goes on either way."""
        self.frozen = not self.frozen
        self.refreeze()

    def action_slower(self) -> None:
        """Repaint less often."""
        self._pace(1)

    def action_faster(self) -> None:
        """Repaint more often."""
        self._pace(-1)

    def _pace(self, by: int) -> None:
        app = host(self)
        near = min(range(len(PACES)), key=lambda n: abs(PACES[n] - app.refresh_seconds))
        app.refresh_seconds = PACES[max(0, min(len(PACES) - 1, near + by))]
        self.notify(
            _("The screen is refreshed every {seconds} s.").format(seconds=f"{app.refresh_seconds:g}"), markup=False
        )

    def action_report(self) -> None:
        """Open the report."""
        from screens.report import ReportScreen

        self.app.push_screen(ReportScreen())

    def action_copy(self) -> None:
        """Copy what the focused panel shows."""
        from screens.copying import copy_text

        panel = self.panel or self.panel_number(1)
        copy_text(app_of(self), panel.copy_text(), type(panel).__name__.removesuffix("Panel").lower())
