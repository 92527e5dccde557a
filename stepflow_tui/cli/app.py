"""The command line itself: global options, commands by group, and the border that no traceback crosses."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from stepflow_tui.cli import diagnostics
from stepflow_tui.cli.commands import COMMANDS, load
from stepflow_tui.cli.door import tolerant_streams
from stepflow_tui.cli.help import speak
from stepflow_tui.cli.output import OutputLost
from stepflow_tui.cli.session import VALUED, Globals, Session, hoist
from stepflow_tui.cli.wizard import plain_wanted
from stepflow_tui.engine.texts import language

if TYPE_CHECKING:
    from collections.abc import Sequence

STREAMING = ("run", "demo")
"""Commands whose `--json` is JSON Lines from the start, so that even a bad config ends with `run_finished`."""


class _Interrupted(Exception):
    pass


class RootGroup(TyperGroup):
    """Takes global options before and after the subcommand; imports a command's module only when that command runs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with the global options moved to the front."""
        return super().parse_args(ctx, hoist(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C reaches our own border instead of becoming a silent exit."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as exc:
            raise _Interrupted from exc

    def list_commands(self, ctx: Any) -> list[str]:
        """All commands, in the order people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and build one command."""
        return load(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands for `--help`, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


app = typer.Typer(
    cls=RootGroup,
    help="Takes a database through a migration without losing a row.",
    epilog="Global options stand before or after the command. `stepflow COMMAND --help` shows a command's own.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from stepflow_tui import __version__
        from stepflow_tui.cli.output import emit_text

        emit_text(f"stepflow {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    state_dir: Annotated[
        Path | None, typer.Option("--state-dir", metavar="DIR", help="Where runs are kept.", show_default=False)
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines, nothing that moves.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
    ascii_: Annotated[bool, typer.Option("--ascii", help="The wizard: frames, bars and signs in plain ASCII.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="The wizard: fewer repaints; the default over SSH.")] = False,
    no_mouse: Annotated[bool, typer.Option("--no-mouse", help="The wizard: leave the mouse to the terminal.")] = False,
    lang: Annotated[
        str | None,
        typer.Option("--lang", metavar="LANG", help="Language: en or zh; else LANG decides.", show_default=False),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every command that acts.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Without a command: the wizard on a terminal, help elsewhere."""
    if lang is not None and not language.spoken(lang):
        known = ", ".join(language.LANGUAGES)
        raise diagnostics.UsageError(
            f"There is no language {lang!r}.", hint=f"One of {known}.", code="unknown_language"
        )
    session = ctx.obj if isinstance(ctx.obj, Session) else Session()
    session.globals = Globals(
        state_dir=state_dir,
        plain=plain or plain_wanted(os.environ),
        json=json,
        no_input=no_input,
        no_color=no_color,
        ascii=ascii_,
        slow=slow,
        no_mouse=no_mouse,
        lang=lang,
        read_only=read_only,
    )
    session.streams = ctx.invoked_subcommand in STREAMING
    ctx.obj = session
    if ctx.invoked_subcommand is None:
        raise typer.Exit(_front_door(ctx, session))


def _front_door(ctx: typer.Context, session: Session) -> int:
    """The wizard; numbered questions where it can't be drawn but somebody sits there; help where nobody does."""
    from stepflow_tui.cli import wizard

    if wizard.possible(session):
        return wizard.open_wizard(session)
    if wizard.prompts_possible(session):
        from stepflow_tui.cli.plain.menu import open_plain

        return open_plain(session)
    from stepflow_tui.cli.output import emit_block

    emit_block(ctx.get_help())
    return 0


def run_command_line(args: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The process's exit code.
    """
    tolerant_streams()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    session = _first_look(args)
    language.use(language.wanted(session.globals.lang, os.environ))
    speak()
    try:
        return _ended(lambda: app(list(args), prog_name="stepflow", standalone_mode=False, obj=session), session)
    except BrokenPipeError:
        return diagnostics.broken_pipe()
    except OutputLost as exc:
        return diagnostics.output_lost(str(exc))


def _terminate(number: int, frame: object) -> None:
    raise diagnostics.Terminated


def _ended(command: Any, session: Session) -> int:
    try:
        code = command()
        sys.stdout.flush()
        return int(code or 0)
    except (BrokenPipeError, OutputLost):
        raise
    except diagnostics.StepFlowError as exc:
        return diagnostics.fail(exc, session)
    except (KeyboardInterrupt, _Interrupted, typer.Abort):
        return diagnostics.interrupted(session, diagnostics.ExitCode.INTERRUPTED)
    except diagnostics.Terminated:
        return diagnostics.interrupted(session, diagnostics.ExitCode.TERMINATED)
    except TyperException as exc:
        return diagnostics.fail(_usage(exc), session)
    except Exception as exc:  # the border: whatever nobody foresaw ends here in one line
        return diagnostics.crash(exc, session)


def _usage(exc: TyperException) -> diagnostics.UsageError:
    context = getattr(exc, "ctx", None)
    command = context.command_path if context is not None else "stepflow"
    words = exc.format_message() if hasattr(exc, "format_message") else str(exc)
    return diagnostics.UsageError(words, hint=f"`{command} --help` shows the options.")


def _first_look(args: Sequence[str]) -> Session:
    """What help and errors need to know before, or although, the arguments can't be parsed."""
    hoisted = hoist(list(args))
    given: dict[str, str] = {}
    words: list[str] = []
    pending = iter(hoisted)
    for arg in pending:
        name, equals, value = arg.partition("=")
        if name in VALUED:
            given[name] = value if equals else next(pending, "")
        elif not arg.startswith("-"):
            words.append(arg)
    asked = Globals(json="--json" in hoisted, lang=given.get("--lang"))
    return Session(globals=asked, streams=bool(words) and words[0] in STREAMING)
