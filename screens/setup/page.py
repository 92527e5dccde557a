"""What the pages of the set-up have in common: a name, a sentence, fields, and `finish`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from screens.setup.state import SetupState
from screens.widgets.cells import fit
from screens.widgets.said import Said
from stepflow_tui.engine.texts.language import _

LABEL_WIDTH = 22


class Page(VerticalScroll, can_focus=False):
    """One page. Subclasses name it, ask (`ask`), and hand back what was answered (`gathered`, `finish`)."""

    NAME: ClassVar[str]
    INTRO: ClassVar[str]
    HELP: ClassVar[str]

    def __init_subclass__(cls, **more: Any) -> None:
        """The sentence on the page is its help as well."""
        super().__init_subclass__(**more)
        cls.HELP = cls.INTRO

    class Done(Message):
        """Enter in the last field: on to the next page."""

    def __init__(self, state: SetupState) -> None:
        super().__init__()
        self.state = state

    def compose(self) -> ComposeResult:
        """What the page is about, then its fields."""
        yield Said(self.intro(), classes="intro")
        yield from self.ask()

    def intro(self) -> str:
        """The sentence on the page, in the language in use."""
        return _(self.INTRO)

    def ask(self) -> Iterable[Widget]:
        """The fields."""
        raise NotImplementedError

    def first(self) -> Widget | None:
        """What has the focus when the page opens."""
        return next((w for w in self.query("*") if w.focusable), None)

    def gathered(self) -> SetupState:
        """The state with this page's answers, whatever they are worth."""
        return self.state

    async def finish(self) -> SetupState:
        """The state with this page's answers, checked.

        Raises:
            StepFlowError: what has to be corrected first; shown on the page.
        """
        return self.gathered()


class Field(Horizontal):
    """A label and a control on one line; up and down go to the fields around it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = """
    Field {
        height: 1;
    }
    Field > .label {
        width: auto;
    }
    Field > Input {
        width: 1fr;
    }
    """

    def __init__(
        self,
        label: str,
        control: Widget,
        *,
        id: str | None = None,  # noqa: A002 - Textual's own name
        width: int = LABEL_WIDTH,
    ) -> None:
        super().__init__(id=id)
        self._label = fit(label, width) + " "
        self.control = control

    def compose(self) -> ComposeResult:
        """Label, control."""
        yield Said(self._label, classes="label")
        yield self.control


def text_field(
    label: str, value: str, name: str, *, hint: str = "", secret: bool = False, width: int = LABEL_WIDTH
) -> Field:
    """A line of text to type."""
    box = Input(value, id=name, compact=True, placeholder=hint, password=secret, select_on_focus=False)
    return Field(label, box, id=f"field-{name}", width=width)


def explained(text: str) -> Said:
    """One line that explains the control above it."""
    return Said(text, classes="explained")


def table(rows: Iterable[tuple[str, str]], *, width: int = 12) -> Text:
    """Names and values in two columns."""
    shown = Text()
    for name, value in rows:
        shown.append(fit(name, width) + " ", style="bold")
        shown.append(value + "\n")
    shown.rstrip()
    return shown
