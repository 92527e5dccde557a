"""What pages are made of: headings, fields, and states as sign, word and colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from rich.text import Text

from screens.glyphs import Glyphs
from screens.widgets.document import Line
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.plan.risks import RiskState
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.width import pad

View_contra = TypeVar("View_contra", contravariant=True)

GOOD, CARE, BAD, DIM, HEAD = "green", "yellow", "red", "dim", "bold"
SHOWN = 200
"""Things of one sort listed on a page; the filter finds the others."""


class Page(Protocol, Generic[View_contra]):
    """One page of a screen.

    `FILTERS` tells that `/` leaves only what fits, instead of going from match to match.
    """

    NAME: ClassVar[str]
    HELP: ClassVar[str]
    FILTERS: ClassVar[bool]

    def lines(self, view: View_contra, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """The page's lines."""
        ...


def line(text: str, style: str = "", *, indent: int = 0, key: str = "", hang: int | None = None) -> Line:
    """A line of one style; what it shows is cleaned here, once for all pages."""
    made = Text(" " * indent, end="")
    made.append(clean_line(text), style)
    return Line(made, key, indent + 2 if hang is None else hang)


def heading(text: str) -> Line:
    """A heading."""
    return line(text, HEAD, hang=0)


def blank() -> Line:
    """An empty line."""
    return Line(Text("", end=""))


def marked(sign: str, word: str, text: str, style: str, *, indent: int = 0, width: int = 0, key: str = "") -> Line:
    """A state as sign and word in its colour, then what it is about."""
    label = f"{sign} {pad(word, width)}" if word else sign
    made = Text(" " * indent, end="")
    made.append(label, style)
    made.append(("  " if word else " ") + clean_line(text))
    return Line(made, key, indent + 4)


def item_state(state: str, glyphs: Glyphs) -> tuple[str, str, str]:
    """Sign, word and colour of a checklist item. Accepted ones are told apart from ticked ones: nobody did them."""
    sign, style = {
        ItemState.TICKED.value: (glyphs.ticked, GOOD),
        ItemState.ACCEPTED.value: (glyphs.unticked_accepted, CARE),
        ItemState.FAILED.value: (f"[{glyphs.confirm}]", BAD),
    }.get(state, (glyphs.unticked, CARE))
    return sign, item_word(state), style


def item_word(state: str) -> str:
    """The state of a checklist item in words."""
    return _("accepted unticked") if state == ItemState.ACCEPTED else words.term(state)


def risk_state(state: RiskState, glyphs: Glyphs) -> tuple[str, str, str]:
    """Sign, word and colour of a risk."""
    sign, style = {
        RiskState.PROVED: (glyphs.done, GOOD),
        RiskState.OPEN: (glyphs.confirm, CARE),
        RiskState.FAILED: (glyphs.failed, BAD),
    }[state]
    return sign, words.term(state.value), style


def severity(value: Severity, glyphs: Glyphs) -> tuple[str, str, str]:
    """Sign, word and colour of a finding's weight."""
    sign, style = {
        Severity.BLOCKING: (glyphs.failed, BAD),
        Severity.WARNING: (glyphs.confirm, CARE),
        Severity.INFO: (glyphs.todo, DIM),
    }[value]
    return sign, words.term(value.value), style


def fits(needle: str, *texts: Any) -> bool:
    """Whether one of the texts holds what is looked for."""
    wanted = needle.casefold()
    return not wanted or any(wanted in str(t).casefold() for t in texts if t is not None)
