"""The reading half of the plan screen: where its pages come from, and the line above them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult

from screens.host import host
from screens.paged import PagedScreen
from screens.pages.census import CensusPage
from screens.pages.changes import ChangesPage
from screens.pages.checklist import ChecklistPage
from screens.pages.estimates import EstimatesPage
from screens.pages.findings import FindingsPage
from screens.pages.lines import CARE, Page, line
from screens.pages.objects import ObjectsPage
from screens.pages.risks import RisksPage
from screens.pages.sql import SqlPage
from screens.pages.steps import StepsPage
from screens.pages.view import PlanView
from screens.plan_reading import JournalPlan, Preview
from screens.widgets.document import Line
from screens.widgets.guarded import in_background
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.texts.language import _, known, ngettext
from stepflow_tui.render import words


class PlanShown(PagedScreen[PlanView]):
    """Shows the plan of the open run, or with `config` one that is made for looking only."""

    PAGES: ClassVar[tuple[Page[Any], ...]] = (
        StepsPage(),
        CensusPage(),
        SqlPage(),
        ObjectsPage(),
        FindingsPage(),
        EstimatesPage(),
        ChecklistPage(),
        RisksPage(),
    )

    IN_PLACE_PAGES: ClassVar[tuple[Page[Any], ...]] = (
        StepsPage(),
        ChangesPage(),
        FindingsPage(),
        ChecklistPage(),
        RisksPage(),
    )
    """Where the database stays in its place there are no types, no SQL, and no objects that could be lost."""

    def __init__(self, config: Path | None = None) -> None:
        super().__init__()
        self.config = config
        self._preview: Preview | None = None
        self._journal: JournalPlan | None = None
        self._gate = ""
        self.in_place = False

    def compose(self) -> ComposeResult:
        """With the pages that its kind has."""
        self.in_place = self._kind() in IN_PLACE
        if self.in_place:
            self.PAGES = self.IN_PLACE_PAGES  # type: ignore[misc]  # this screen's own
        yield from super().compose()

    def _kind(self) -> str:
        """Of the config, or of the open run; "" where the config can't be read, which is told as soon as it is planned."""
        app = host(self)
        if self.config is None:
            return str(app.snapshot.status.get("kind") or "") if app.snapshot is not None else ""
        try:
            return str(app.api.load_config(self.config, app.options.env).config.kind.value)
        except StepFlowError:
            return ""

    def on_mount(self) -> None:
        """Begin with the steps."""
        self.open_page(0)
        bridge = host(self).bridge
        if self.config is not None:
            self.make(self.config)
        elif bridge is not None:
            self._journal = JournalPlan(bridge.api, bridge.run)

    def on_screen_resume(self) -> None:
        """Back from another screen: something may have happened."""
        self.read()

    def on_unmount(self) -> None:
        """Nobody waits for the preview any more."""
        if self._preview is not None:
            self._preview.stop()

    def apply(self, snapshot: Snapshot) -> None:
        """Show a state of the run: read the journal again when something happened."""
        if self.config is not None or not self.is_mounted:
            return
        gate = snapshot.status.get("gate")
        self._gate = str(gate["phase"]) if gate else ""
        if snapshot.events:
            self.read()
        self._say()

    def lines_of(self, index: int, needle: str) -> list[Line]:
        """A page's lines, or why there is no plan to show."""
        found = super().lines_of(index, needle)
        if found or self.view is None or self.view.plan is not None:
            return found
        return [line(text, CARE, indent=2 * bool(n)) for n, text in enumerate(self.view.missing)]

    def read(self) -> None:
        """Read the run's journal in the background."""
        if self._journal is not None:
            self.fetch(self._journal.read, self._fetched)

    def make(self, config: Path) -> None:
        """Plan in the background, with an event loop of its own: this one has keys to answer."""
        looking = _("Looking at source and target, counting types; nothing is changed. Esc stops it.")
        if self.in_place:
            looking = _("Looking at the database and what uses it; nothing is changed. Esc stops it.")
        self.head(looking)
        if self._preview is not None:
            self._preview.stop()
        self._preview = Preview(host(self).api, config, host(self).options)
        in_background(self, self._making(self._preview), group="make", exclusive=True)

    def _fetched(self, view: PlanView) -> None:
        self.show(view)
        self._say()

    async def _making(self, preview: Preview) -> None:
        try:
            view = await asyncio.to_thread(preview.make)
        except StepFlowError as error:
            self.head(_("There is no plan: {reason}").format(reason=known(error.message)))
            raise
        if view is not None:
            self._fetched(view)

    def _say(self) -> None:
        if self.view is not None:
            self.head(f" {host(self).glyphs.separator} ".join(_head(self.view, self._gate)))


def _head(view: PlanView, gate: str) -> Iterator[str]:
    """What the plan is about, the most important first: a narrow terminal cuts the rest."""
    yield _("Plan of {name}").format(name=view.name)
    if gate:
        sorts = (view.plan.kind, view.plan.mode) if view.plan is not None else ()
        yield _("c answers the gate before {phase}").format(phase=words.phase(gate, *sorts))
    grave = sum(f.severity is Severity.BLOCKING for f in view.findings)
    warned = sum(f.severity is Severity.WARNING for f in view.findings)
    if grave:
        yield ngettext("{count} blocking finding", "{count} blocking findings", grave).format(count=grave)
    if warned:
        yield ngettext("{count} warning", "{count} warnings", warned).format(count=warned)
    if view.plan is None:
        yield _("no plan yet")
        return
    count = len(view.plan.tables)
    yield ngettext("{count} table", "{count} tables", count).format(count=words.count(count))
    yield words.amount(sum(f.rows for f in view.plan.facts.values()), "rows")
    yield f"{view.plan.kind} {view.plan.mode}"
    yield view.plan.hash[:12]
