"""Page of the report about a database that stayed in its place: how it was converted, what proves it, what the benchmark says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import DIM, Page, blank, heading, line
from screens.pages.report_result import ReportView, Row
from screens.widgets.document import Line
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.benchmark import conclusion, operations_table, verdict_lines
from stepflow_tui.render.in_place import conversion_lines


class ConversionPage(Page[ReportView]):
    """How the conversion went, its proof, and the benchmark."""

    NAME: ClassVar[str] = N_("Conversion")
    HELP: ClassVar[str] = N_(
        "How the conversion went and what proves it, or how it was taken back; then what both journal modes achieved on copies of"
        " the database. Each limit is met, missed or not measured."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: ReportView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Conversion, then benchmark."""
        yield heading(_("Conversion"))
        told = list(conversion_lines(view.report))
        yield from (line(text, indent=2, hang=2) for text in told)
        if not told:
            yield line(_("Nothing was converted yet."), DIM, indent=2)
        yield blank()
        yield heading(_("Benchmark"))
        yield from _benchmark(view.report.get("benchmark"))


def _benchmark(result: Row | None) -> Iterator[Line]:
    if not result:
        yield line(_("Nothing was measured in this run; `stepflow benchmark` measures it on its own."), DIM, indent=2)
        return
    yield from (line(text, indent=2) for text in operations_table(result))
    yield blank()
    yield from (line(text, indent=2) for verdict in result["verdicts"] for text in verdict_lines(verdict))
    yield blank()
    yield line(conclusion(result), indent=2)
