"""The report screen: how a run ended and all that it knows about it, to read, copy and export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from screens.bindings import bindings
from screens.copying import copy_text, save
from screens.host import app_of, host
from screens.modals.export import ExportDialog
from screens.paged import PagedScreen
from screens.pages.lines import Page
from screens.pages.report_in_place import ConversionPage
from screens.pages.report_rest import (
    AlertsPage,
    ApplicationPage,
    BackupPage,
    RecordPage,
    ReportChecklistPage,
    ReportFindingsPage,
    ReportObjectsPage,
)
from screens.pages.report_result import DifferencesPage, ReportView, TablesPage, VerdictPage
from screens.plan_reading import distinct
from stepflow_tui.actions import Scope
from stepflow_tui.bridge import Bridge, Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.live import is_in_place

SUFFIXES = (".md", ".html", ".json")


class ReportScreen(PagedScreen[ReportView]):
    """The report of the open run, as it stands now."""

    PAGES: ClassVar[tuple[Page[Any], ...]] = (
        VerdictPage(),
        TablesPage(),
        ReportObjectsPage(),
        ReportFindingsPage(),
        DifferencesPage(),
        ReportChecklistPage(),
        AlertsPage(),
        BackupPage(),
        ApplicationPage(),
        RecordPage(),
    )
    IN_PLACE_PAGES: ClassVar[tuple[Page[Any], ...]] = (PAGES[0], ConversionPage(), PAGES[1], *PAGES[3:])
    """Where the database stays in its place there are no objects that could be lost."""
    NAME = N_("Report")
    HELP = N_(
        "How the run ended and what it found, the verdict first. Left and right go from page to page, / searches. The "
        "report is made from the run's journal: it can be read again at any time."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.REPORT)]

    def compose(self) -> ComposeResult:
        """With the pages that its kind has."""
        snapshot = host(self).snapshot
        if snapshot is not None and is_in_place(snapshot.status):
            self.PAGES = self.IN_PLACE_PAGES  # type: ignore[misc]  # this screen's own
        yield from super().compose()

    def on_mount(self) -> None:
        """Begin with the verdict."""
        self.open_page(0)
        self.head(_("Report"))

    def on_screen_resume(self) -> None:
        """Opened, or back from another screen: something may have happened."""
        self._read()

    def apply(self, snapshot: Snapshot) -> None:
        """Something happened: read it again."""
        if snapshot.events and self.is_mounted:
            self._read()

    def _read(self) -> None:
        bridge = host(self).bridge
        if bridge is not None:
            self.fetch(lambda: read_report(bridge), self._fetched)

    def _fetched(self, view: ReportView) -> None:
        self.show(view)
        self.head(f" {host(self).glyphs.separator} ".join(_head(view)))

    def action_copy(self) -> None:
        """Copy the open page."""
        copy_text(app_of(self), self.reader.plain(), f"report-{self.page.NAME}")

    def action_export(self) -> None:
        """Write the whole report to files of the operator's choice."""
        bridge = host(self).bridge
        if bridge is None:
            return
        own = list(self.view.files) if self.view is not None else []
        lines = [_("The report's own files are in the run's folder:"), *own] if own else []
        dialog = ExportDialog(
            _("Write the report"), lines, SUFFIXES, host(self).options.folder / f"report-{bridge.run.id}"
        )
        app_of(self).push_screen(dialog, lambda path: save(self, path, lambda: _texts(bridge)) if path else None)


def read_report(bridge: Bridge) -> ReportView:
    """Collect the report from the journal. Blocks: call it in a thread.

    Raises:
        StepFlowError: the journal can't be read.
    """
    report = bridge.api.report(bridge.run)
    with bridge.api.RunReader(bridge.run.path) as reader:
        found = distinct(reader.findings())
    written = tuple(str(p) for s in SUFFIXES if (p := bridge.run.path / f"report{s}").exists())
    return ReportView(report=report, findings=found, files=written)


def _texts(bridge: Bridge) -> dict[str, str]:
    report = json.dumps(dict(bridge.api.report(bridge.run)), indent=2, ensure_ascii=False) + "\n"
    return {
        ".md": bridge.api.report_text(bridge.run, "md"),
        ".html": bridge.api.report_text(bridge.run, "html"),
        ".json": report,
    }


def _head(view: ReportView) -> Iterator[str]:
    yield _("Report of {name}").format(name=view.report["name"])
    yield words.term(view.report["result"] or view.report["state"])
    yield str(view.report["run"])
