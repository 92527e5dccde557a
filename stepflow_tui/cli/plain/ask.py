"""Questions with numbered answers. A wrong answer is asked again; the end of input ends the asking."""

from __future__ import annotations

import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from stepflow_tui.cli.diagnostics import put_prompt, say
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

T = TypeVar("T")

LONGEST_NUMBER = 6
REPEAT = "?"
"""Shows the choices again."""


class EndOfInput(Exception):
    """Nobody can answer any more: the terminal is gone, or Ctrl-D was pressed."""


def read(prompt: str) -> str:
    """One line as typed, without blanks around it.

    Raises:
        EndOfInput: there is none.
    """
    put_prompt(prompt)
    text = sys.stdin.readline()
    if not text:
        say("")
        raise EndOfInput
    return text.strip()


def forget_typed() -> None:
    """Drop what was typed before the question could be read: typing ahead never answers a question that changes something."""
    with suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def choose(title: str, labels: Sequence[str], *, default: int = 1) -> int:
    """The number of one of the labels, from 1."""
    _list(title, labels)
    prompt = _("Number (Enter: {default}):").format(default=default)
    while True:
        text = read(prompt)
        if not text:
            return default
        if text == REPEAT:
            _list(title, labels)
            continue
        number = _number(text)
        if number is not None and 1 <= number <= len(labels):
            return number
        say(
            _("{text} is no number from 1 to {count}. {key} lists the choices again.").format(
                text=clean_line(text), count=len(labels), key=REPEAT
            )
        )


def _list(title: str, labels: Sequence[str]) -> None:
    say("")
    say(title)
    for number, label in enumerate(labels, 1):
        say(f"  {number}  {clean_line(label)}")


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else None


def text(question: str, default: str = "") -> str:
    """A line of text, the default where nothing is typed."""
    if not default:
        return read(words.about(question, "").rstrip())
    return read(_("{question} (Enter: {default}):").format(question=question, default=clean_line(default))) or default


def needed(question: str) -> str:
    """A line of text that must not be empty; "" when Enter is pressed twice: the question is taken back."""
    answer = text(question)
    if not answer:
        say(_("This needs a line of text; Enter alone once more leaves it."))
        answer = text(question)
    return answer


def checked(question: str, use: Callable[[str], T], default: str = "") -> T:
    """What `use` makes of the answer; what it refuses with a StepFlowError is asked again."""
    while True:
        answer = text(question, default)
        try:
            return use(answer)
        except StepFlowError as error:
            say(words.sentences(known(error.message), known(error.hint)))


def yes(question: str) -> bool:
    """Whether a question is affirmed by number; Enter is no."""
    return choose(question, (_("no"), _("yes"))) == 2


def typed_name(name: str) -> bool:
    """Whether the name was typed as asked for."""
    forget_typed()
    if read(_("Type {name} to confirm:").format(name=name)) == name:
        return True
    say(_("That is not the name; nothing was done."))
    return False
