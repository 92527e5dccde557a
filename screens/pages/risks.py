"""The risk register: what may go wrong, what is done about it, and whether that is proved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import DIM, Page, blank, heading, line, marked, risk_state
from screens.pages.view import PlanView
from screens.widgets.document import Line
from stepflow_tui.engine.plan.risks import Risk, RiskState, acceptance, risks
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.engine.texts.risks import ACCEPTANCE, MITIGATIONS
from stepflow_tui.render.risks import proof_lines, risk_title
from stepflow_tui.render.width import cells


class RisksPage(Page[PlanView]):
    """Risks, then what makes the migration accepted."""

    NAME: ClassVar[str] = N_("Risks")
    HELP: ClassVar[str] = N_(
        "Green (proved): every check that proves the mitigation said yes. Yellow (open): not known yet, accepted without proof, or"
        " not in this run's checklist. Red (failed): a check said no, or a blocking finding stands against it."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Both lists."""
        width = max(cells(risk_state(s, glyphs)[1]) for s in RiskState)
        yield heading(_("Risks"))
        for risk in risks(view.items, view.findings):
            sign, word, style = risk_state(risk.state, glyphs)
            yield marked(sign, word, risk_title(risk), style, indent=1, width=width)
            yield line(_("against it: {measures}").format(measures=_(MITIGATIONS[risk.id])), indent=width + 5)
            yield from _proofs(risk, width + 5)
        yield blank()
        yield heading(_("Accepted when"))
        for criterion in acceptance(view.items):
            sign, word, style = risk_state(criterion.state, glyphs)
            yield marked(sign, word, _(ACCEPTANCE[criterion.id]), style, indent=1, width=width)
            yield from _proofs(criterion, width + 5)


def _proofs(risk: Risk, indent: int) -> Iterator[Line]:
    yield from (line(text, DIM, indent=indent) for text in proof_lines(risk))
