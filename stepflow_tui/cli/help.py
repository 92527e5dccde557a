"""Help and usage errors in the language in use: written in English where commands are defined, translated where printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from typer._click.core import Context
from typer._click.formatting import HelpFormatter
from typer.core import TyperGroup

from stepflow_tui.engine.texts.language import N_, _, known, language
from stepflow_tui.render.width import cells, pad, wrap

USAGE = N_("Usage: ")
HELP_WORDS = (
    *(N_("Arguments"), N_("Options"), N_("Commands"), N_("Show this message and exit.")),
    *(N_("required"), N_("default: {0}")),
)
"""Typer's own words in help pages."""
USAGE_ERRORS = (
    N_("No such option: {0}"),
    N_("No such option: {0} (Possible options: {1})"),
    N_("No such command {0}."),
    N_("No such command {0}. Did you mean {1}?"),
    N_("Missing command."),
    N_("Missing argument {0}."),
    N_("Missing option {0}."),
    N_("Got unexpected extra argument(s) ({0})"),
    N_("Option {0} requires an argument."),
    N_("Option {0} does not take a value."),
    N_("Invalid value for {0}: {1}"),
    N_("Input should be a valid integer, unable to parse string as an integer"),
    N_("Input should be a valid number, unable to parse string as a number"),
    N_("Input should be greater than or equal to {0}"),
    N_("Input should be less than or equal to {0}"),
)
"""What Typer says of a call it can't read."""

FIRST_COLUMN = 30
"""Longest option beside its words; a longer one stands above them."""
_EXTRAS = re.compile(r"(.*?)(?:  \[([^\[\]]*)\])?", re.DOTALL)


def speak() -> None:
    """Have help pages printed in the language in use; English ones are Typer's own."""
    Context.formatter_class = HelpFormatter if language() == "en" else Translated


class Group(TyperGroup):
    """A group whose list of commands has whole sentences; cut ones could not be translated."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands for `--help`."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, (c.help or "").partition("\n")[0]) for name, c in commands if c and not c.hidden]
            )


class Translated(HelpFormatter):
    """Writes help in the language in use, in lines that fit the terminal by cells."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The first line."""
        super().write_usage(prog, args, prefix or _(USAGE))

    def write_heading(self, heading: str) -> None:
        """The title of a section."""
        super().write_heading(_(heading))

    def write_text(self, text: str) -> None:
        """A command's description, or the words at the end."""
        indent = " " * self.current_indent
        paragraphs = known(text).split("\n\n")
        pages = ["\n".join(indent + line for line in wrap(p, self.width - self.current_indent)) for p in paragraphs]
        self.write("\n\n".join(pages) + "\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = FIRST_COLUMN, col_spacing: int = 2) -> None:
        """Names on the left, what they mean on the right."""
        left = min(max((cells(name) for name, _words in rows), default=0), col_max) + col_spacing
        indent = " " * self.current_indent
        for name, words in rows:
            lines = wrap(_shown(words), max(self.width - left - self.current_indent, 10))
            if cells(name) > left - col_spacing:
                self.write(f"{indent}{name}\n")
                name = ""  # noqa: PLW2901 - its words begin on the next line
            for line in lines:
                self.write(f"{indent}{pad(name, left)}{line}".rstrip() + "\n")
                name = ""  # noqa: PLW2901 - only once


def _shown(words: str) -> str:
    """An option's words, and what Typer adds in brackets."""
    match = _EXTRAS.fullmatch(words)
    assert match is not None, "the pattern takes any text"
    text, extras = match.groups()
    added = f"  [{'; '.join(known(extra) for extra in extras.split('; '))}]" if extras else ""
    return known(text) + added
