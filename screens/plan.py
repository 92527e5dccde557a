"""The plan screen: what a run is going to do, or what a config would do, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import BindingType

from screens.bindings import bindings
from screens.copying import copy_text, save
from screens.host import app_of, host
from screens.modals.confirm import ConfirmPlain, ConfirmTyped
from screens.modals.details import DetailsDialog
from screens.modals.export import ExportDialog
from screens.modals.gate import open_gate
from screens.modals.tick import TickDialog
from screens.pages.checklist import title_of
from screens.pages.details import item_details
from screens.pages.view import PlanView
from screens.plan_shown import PlanShown
from stepflow_tui.actions import Scope
from stepflow_tui.engine.model.checklist import ItemKind
from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import in_place
from stepflow_tui.render.live import is_in_place
from stepflow_tui.render.plan import plan_text, sql_text


class PlanScreen(PlanShown):
    """The plan of the open run; with `config`, a preview of a run that is not started."""

    NAME = N_("Plan")
    HELP = N_(
        "What the run is going to do, why, and how long it takes. Left and right go from page to page, / searches or "
        "filters, Enter tells more about a line. Nothing is changed while you read."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.PLAN)]

    def action_continue(self) -> None:
        """Approve: answer the open gate; from a preview, start the run, which asks before it changes anything."""
        if self.config is None:
            open_gate(self)
            return
        if host(self).options.read_only:
            self._warn(_("This session is read-only: it watches and changes nothing."))
            return
        config = self.config
        lines = [
            _("The run begins with checks, a tested backup and the plan."),
            _("Before it changes anything it stops and asks.")
            if self.in_place
            else _("Before it changes anything in the target it stops and asks."),
        ]
        dialog = ConfirmPlain(_("Start this run?"), lines, _("Start"))
        app_of(self).push_screen(dialog, lambda yes: self._start(config) if yes else None)

    def _start(self, config: Path) -> None:
        self.dismiss()
        host(self).begin(config)

    def action_recheck(self) -> None:
        """Look at source and target anew: for a run in a preview on top of it."""
        if self.config is not None:
            self.make(self.config)
        elif self.view is not None and self.view.config is not None:
            app_of(self).push_screen(PlanScreen(self.view.config))

    def action_tick(self) -> None:
        """Tick the selected item."""
        item = self._item()
        if item is None or self.config is not None:
            self._warn(_("Items are ticked on the page Checklist of a run: select one there."))
        elif item["kind"] != ItemKind.MANUAL:
            self._warn(_("A check decides this item, no person ticks it."))
        else:
            name, shown = str(item["id"]), {**item, "title": title_of(item)}
            app_of(self).push_screen(TickDialog(shown), lambda note: self._tick(name, note))

    def _tick(self, item: str, note: str | None) -> None:
        if note:
            host(self).act("tick", {"item": item, "note": note}, then=lambda _answer: self.read())

    def _item(self) -> Mapping[str, Any] | None:
        chosen = self.reader.selected
        return next((i for i in self.view.items if i["id"] == chosen), None) if self.view and chosen else None

    def _warn(self, text: str) -> None:
        app_of(self).notify(text, severity="warning", markup=False)

    def action_details(self) -> None:
        """The selected checklist item with all that is known about it."""
        item = self._item()
        if item is not None:
            lines = list(item_details(item, host(self).glyphs))
            app_of(self).push_screen(DetailsDialog(title_of(item), lines))

    def action_change(self) -> None:
        """Go back and change the config: a run has to end first."""
        if self.config is not None:
            self.dismiss()
            return
        snapshot = host(self).snapshot
        if snapshot is not None and self.view is not None and self.view.config is not None:
            name, config = str(snapshot.status["name"]), self.view.config
            dialog = ConfirmTyped(_("Go back and change the config?"), _going_back(snapshot.status), name)
            app_of(self).push_screen(dialog, lambda typed: self._change(config, typed))

    def _change(self, config: Path, name: str | None) -> None:
        if name:
            host(self).act("abort", {"confirm": name}, then=lambda _answer: host(self).open_config(config))

    def action_report(self) -> None:
        """Open the report; a preview has none."""
        from screens.report import ReportScreen

        if self.config is None:
            app_of(self).push_screen(ReportScreen())

    def action_zoom(self) -> None:
        """Only the page, or head and keys again."""
        self.toggle_class("-zoomed")

    def action_copy(self) -> None:
        """Copy the open page."""
        copy_text(app_of(self), self.reader.plain(), f"plan-{self.page.NAME}")

    def action_export(self) -> None:
        """Write SQL and plan to files."""
        if self.view is None or self.view.plan is None:
            self._warn(_("There is no plan to write yet."))
            return
        view, proposed = self.view, host(self).options.folder / f"plan-{self.view.name}"
        lines = [_("The SQL in order of execution, and the plan with findings and risks as JSON.")]
        endings: tuple[str, ...] = (".sql", ".json")
        if self.in_place:
            lines, endings = [_("The plan with findings and risks as JSON.")], (".json",)
        dialog = ExportDialog(_("Write the plan"), lines, endings, proposed)
        app_of(self).push_screen(dialog, lambda path: save(self, path, lambda: _texts(view)) if path else None)


_ABORTED = N_(
    "This run is aborted and stays in the list; its backup is kept. The config is opened, and a new run can be started."
)


def _texts(view: PlanView) -> dict[str, str]:
    if view.plan is None:
        return {}
    sql = {} if view.plan.kind in IN_PLACE else {".sql": sql_text(view.plan)}
    return {**sql, ".json": plan_text(view.plan, view.findings, view.items)}


def _going_back(status: Mapping[str, Any]) -> Sequence[str]:
    """What ending the run means, as far as it has come."""
    if is_in_place(status):
        return [
            _("The database keeps the mode it is in: B on the run's screen goes back.")
            if in_place.changed(status)
            else _("Nothing was changed yet."),
            _(_ABORTED),
        ]
    done = [s for p in status["phases"] if p["name"] != "prepare" for s in p["steps"] if s["state"] == "done"]
    changed = (
        _(
            "Steps that change the target are done: what they made stays until the run is rolled back (R on the run's screen)."
        )
        if done
        else _("Nothing was changed yet, neither in the source nor in the target.")
    )
    return [
        changed,
        _(_ABORTED),
    ]
