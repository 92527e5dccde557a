"""A config file's text with line numbers and marks, and its problems as lines. Values, no widgets."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.render.clean import clean, clean_line

MAX_LINES = 2_000
MAX_BYTES = 262_144
_PROBLEM = re.compile(r"(?P<line>\d+):(?: (?P<keys>[^\s:]+):)? (?P<text>.*?)(?: \((?P<hint>.*)\))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a config file; `line` 0 where it is about the file as a whole."""

    line: int
    keys: str
    text: str
    hint: str


def problems_of(error: StepFlowError, path: Path) -> tuple[Problem, ...]:
    """The problems an error names, `file:line: key: problem (hint)` each; else the error itself as one."""
    found = []
    for said in error.detail.splitlines():
        match = _PROBLEM.fullmatch(said.removeprefix(f"{Path.cwd() / path}:"))
        if match is not None:
            found.append(
                Problem(line=int(match["line"]), keys=match["keys"] or "", text=match["text"], hint=match["hint"] or "")
            )
    return tuple(found) or (Problem(line=0, keys="", text=f"{error.message} {error.detail}".strip(), hint=error.hint),)


def problem_line(problem: Problem, path: Path) -> Text:
    """`shop.yaml:7: target.dsn: problem (hint)`."""
    line = Text()
    line.append(f"{clean_line(path.name)}:{problem.line}: ", style="bold")
    if problem.keys:
        line.append(f"{clean_line(problem.keys)}: ", style="cyan")
    line.append(clean_line(known(problem.text)), style="red")
    if problem.hint:
        line.append(f" ({clean_line(known(problem.hint))})")
    return line


def read_text(path: Path) -> str:
    """The file's text, or why there is none. Never waits for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "backslashreplace")
    except OSError as error:
        return _("The file can't be read: {reason}").format(reason=error.strerror or str(error))


def numbered(text: str, marked: Collection[int], selected: int, sign: str) -> Text:
    """The text with line numbers; marked lines in red, the selected one with a sign."""
    shown = Text(no_wrap=True)
    for number, line in enumerate(text.splitlines()[:MAX_LINES], 1):
        bad = number in marked
        shown.append(f"{sign if number == selected else ' '}{number:4} ", style="bold red" if bad else "dim")
        shown.append(clean(line).replace("\t", "    ") + "\n", style="red" if bad else "")
    return shown
