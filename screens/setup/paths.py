"""A path to type, with completion: what could be meant stands below, Tab fills it in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList

from screens.setup.page import Field
from screens.widgets.afterwards import afterwards
from screens.widgets.guarded import in_background
from screens.widgets.pick_list import Line, PickList
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.clean import clean_line

DATABASES = (".db", ".sqlite", ".sqlite3", ".db3", ".s3db", ".sl3")
SIDE_FILES = ("-wal", "-shm", "-journal")
LOOKED_AT = 5_000
SHOWN = 50


def completions(typed: str, folder: Path) -> list[str]:
    """What a typed path could become: databases first, then folders (with a slash), then other files. Blocking."""
    head, slash, start = typed.rpartition("/")
    base = folder / Path(head + slash).expanduser()
    found: list[tuple[int, str]] = []
    with suppress(OSError, RuntimeError, ValueError), os.scandir(base) as entries:
        for entry in islice(entries, LOOKED_AT):
            hidden = entry.name.startswith(".") and not start.startswith(".")
            plain = clean_line(entry.name) == entry.name  # others can't be typed either; a link gives them a plain name
            if entry.name.startswith(start) and plain and not hidden and not entry.name.endswith(SIDE_FILES):
                found.append(_ranked(entry, head + slash))
    return [text for _rank, text in sorted(found)[:SHOWN]]


def _ranked(entry: os.DirEntry[str], head: str) -> tuple[int, str]:
    is_folder = False
    with suppress(OSError):
        is_folder = entry.is_dir()
    if is_folder:
        return 1, f"{head}{entry.name}/"
    return (0 if entry.name.lower().endswith(DATABASES) else 2), head + entry.name


def common(found: Iterable[str]) -> str:
    """What all of them begin with."""
    return os.path.commonprefix(list(found))  # noqa: RUF071 - Tab completes letter by letter, as in a shell


class PathInput(Input):
    """The line; Tab completes, Down goes to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", show=False),
        Binding("down", "to_list", show=False),
    ]

    class Wanted(Message):
        """Tab or Down was pressed."""

        def __init__(self, to_list: bool) -> None:
            super().__init__()
            self.to_list = to_list

    def action_complete(self) -> None:
        """Tab."""
        self.post_message(self.Wanted(to_list=False))

    def action_to_list(self) -> None:
        """Down."""
        self.post_message(self.Wanted(to_list=True))


class PathField(Vertical):
    """Label, line, and what could be meant."""

    DEFAULT_CSS = """
    PathField {
        height: auto;
    }
    PathField PickList {
        height: auto;
        max-height: 6;
        margin-left: 22;
        border: none;
    }
    """

    class Changed(Message):
        """Another path stands there."""

        def __init__(self, value: str) -> None:
            super().__init__()
            self.value = value

    class Chosen(Message):
        """Enter on a path."""

    def __init__(self, label: str, value: str, folder: Path) -> None:
        super().__init__()
        self._label, self._value, self._folder = label, value, folder
        self._found: list[str] = []

    def compose(self) -> ComposeResult:
        """The line, and the list below."""
        hint = _("type a path; Tab completes it")
        yield Field(
            self._label, PathInput(self._value, id="path", compact=True, placeholder=hint, select_on_focus=False)
        )
        yield PickList(id="found")

    def on_mount(self) -> None:
        """Show what is here."""
        self.query_one(PickList).display = False
        self._complete(self._value)

    @property
    def value(self) -> str:
        """The path as typed."""
        return self.query_one(PathInput).value.strip()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if clean_line(event.value) != event.value:  # pasted
            event.input.value = clean_line(event.value)
            return
        self._complete(event.value)
        self.post_message(self.Changed(event.value.strip()))

    def _complete(self, typed: str) -> None:
        in_background(self, self._find(typed), group="complete", exclusive=True)

    async def _find(self, typed: str) -> None:
        self._found = await asyncio.to_thread(completions, typed, self._folder)
        self._list()

    def _list(self) -> None:
        listed = self.query_one(PickList)
        listed.show([Line(id=text, text=Text(clean_line(text))) for text in self._found])
        self._show_list()

    def _show_list(self) -> None:
        """Only while the path is being typed, and where there is something to choose."""
        useful = bool(self._found) and self._found != [self.query_one(PathInput).value]
        self.query_one(PickList).display = useful and self.has_focus_within

    def on_descendant_focus(self) -> None:
        """The list comes with the cursor."""
        self._show_list()

    def on_descendant_blur(self) -> None:
        """And goes with it."""
        afterwards(self, self._show_list)

    @on(PathInput.Wanted)
    def _wanted(self, event: PathInput.Wanted) -> None:
        event.stop()
        listed, line = self.query_one(PickList), self.query_one(PathInput)
        longer = common(self._found)
        if event.to_list:
            (listed.focus if listed.display else self.screen.focus_next)()
        elif len(longer) > len(line.value):
            self._fill(longer)
        else:
            self.screen.focus_next()

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        chosen = str(event.option_id)
        self._fill(chosen)
        self.query_one(PathInput).focus()
        if not chosen.endswith("/"):
            self.query_one(PickList).display = False
            self.post_message(self.Chosen())

    def _fill(self, text: str) -> None:
        line = self.query_one(PathInput)
        line.value = text
        line.cursor_position = len(text)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Chosen())
