"""Page: which migration is needed, from what was measured and what is answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.widget import Widget
from textual.widgets import Input

from screens.host import host
from screens.setup.page import Field, text_field
from screens.setup.paths import PathField
from screens.setup.source import SourcePage, Summary, error_text
from screens.setup.state import SetupState
from screens.widgets.cycle import Cycle
from screens.widgets.said import Said
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.advice import Advice, Answers
from stepflow_tui.engine.texts.advice import BUILT, QUESTIONS
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.advice import advice_lines

QUESTION_WIDTH = 56
UNKNOWN = "unknown"
LOCKED = ((UNKNOWN, N_("not known")), ("yes", N_("yes")), ("no", N_("no")))


class AdvisePage(SourcePage):
    """Three questions (load is asked in two ways) and a recommendation that follows the answers."""

    NAME: ClassVar[str] = N_("Which migration?")
    INTRO: ClassVar[str] = N_("Name the file and answer what you know; what you leave open does not count.")

    @property
    def kind(self) -> str:
        """None is chosen yet."""
        return ""

    def intro(self) -> str:
        """The same for all kinds."""
        return _(self.INTRO)

    def ask(self) -> Iterable[Widget]:
        """The path, the questions, the recommendation."""
        yield PathField(_("Path"), self.state.source, self.state.folder)
        answers = self.state.answers
        yield self._number("writers", answers.writers)
        locked = Cycle([(v, _(w)) for v, w in LOCKED], _said(answers.locked), id="locked")
        yield Field(_(QUESTIONS["locked"]), locked, width=QUESTION_WIDTH)
        yield self._number("users", answers.users)
        yield self._number("requests", answers.requests)
        summary = Summary(id="summary")
        summary.display = False
        yield summary
        yield Said(id="advice")

    def _number(self, name: str, value: float | None) -> Field:
        said = "" if value is None else f"{value:g}"
        field = text_field(_(QUESTIONS[name]), said, name, hint=_("not known"), width=QUESTION_WIDTH)
        box = field.control
        assert isinstance(box, Input)
        box.type = "number"
        return field

    def on_mount(self) -> None:
        """Say what is known already."""
        self._advise()

    async def _describe(self, typed: str) -> None:
        await super()._describe(typed)
        self._advise()

    @on(Input.Changed)
    @on(Cycle.Changed)
    def _answered(self) -> None:
        self._advise()

    @on(Input.Submitted)
    @on(Cycle.Submitted)
    def _submitted(self) -> None:
        self.screen.focus_next()

    def chosen(self) -> None:
        """Enter on a path: on to the questions."""
        self.query_one("#writers").focus()

    def _advise(self) -> None:
        try:
            advice = self._advice()
        except StepFlowError as error:
            self.query_one("#advice", Said).show(error_text(error))
            return
        self.query_one("#advice", Said).show(Text("\n".join(advice_lines(advice))))

    def _advice(self) -> Advice:
        return host(self).api.advise(self._facts or {}, self._answers())

    def _answers(self) -> Answers:
        numbers = {name: self._answered_number(name) for name in ("writers", "users", "requests")}
        locked = self.query_one("#locked", Cycle).value
        return Answers(
            writers=None if numbers["writers"] is None else int(numbers["writers"]),
            users=None if numbers["users"] is None else int(numbers["users"]),
            requests=numbers["requests"],
            locked=None if locked == UNKNOWN else locked == "yes",
        )

    def _answered_number(self, name: str) -> float | None:
        try:
            number = float(self.query_one(f"#{name}", Input).value)
        except ValueError:
            return None
        return number if 0 <= number < 1e12 else None

    def gathered(self) -> SetupState:
        """Path, answers and what they came to; a kind that can be carried out is chosen."""
        state = replace(super().gathered(), answers=self._answers(), advice=self._advice())
        kind = state.advice.kind if state.advice is not None else None
        return replace(state, kind=kind) if kind in BUILT else state

    async def finish(self) -> SetupState:
        """Nothing has to be answered."""
        return self.gathered()


def _said(locked: bool | None) -> str:
    return UNKNOWN if locked is None else "yes" if locked else "no"
