"""Phases and steps: what each asks for, and what undoing it would lose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import BAD, CARE, DIM, GOOD, Page, blank, heading, line, marked
from screens.pages.view import PlanView
from screens.widgets.document import Line
from stepflow_tui.engine.model.plan import PlannedStep
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.engine.texts.running import step_title
from stepflow_tui.render import words

_STYLES = {"done": GOOD, "failed": BAD, "running": CARE}
_ASKS = {
    Danger.PLAIN.value: N_("asks for a confirmation"),
    Danger.TYPED.value: N_("asks for the run's name"),
}


class StepsPage(Page[PlanView]):
    """Phases and steps."""

    NAME: ClassVar[str] = N_("Steps")
    HELP: ClassVar[str] = N_(
        "What the run does, in order. Before each phase but the first it stops and asks. Under a step stands what going back"
        " after it would lose; where nothing stands, nothing is lost."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """One block per phase."""
        if view.plan is None:
            return
        for phase in view.plan.phases:
            yield heading(words.phase(phase.name, view.plan.kind, view.plan.mode))
            for step in phase.steps:
                yield from self._step(step, view, glyphs, view.plan.kind)
            yield blank()

    def _step(self, step: PlannedStep, view: PlanView, glyphs: Glyphs, kind: str) -> Iterator[Line]:
        state = view.steps.get(step.name, "pending")
        sign = glyphs.step(state, danger=step.danger == Danger.TYPED.value)
        word = words.term(state) if view.steps else ""
        yield marked(
            sign, word, known(step_title(step.name, kind)), _STYLES.get(state, DIM), indent=2, width=8 if word else 0
        )
        indent = 14 if word else 6
        if step.danger in _ASKS:
            yield line(_(_ASKS[step.danger]), CARE, indent=indent)
        if step.loses:
            yield line(_("going back would lose: {loses}").format(loses=known(step.loses)), CARE, indent=indent)
