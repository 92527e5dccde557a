"""`stepflow` alone on a terminal: straight into the wizard. Typer would cost a fifth of the time to the first paint."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stepflow_tui.cli import diagnostics, wizard
from stepflow_tui.cli.session import FLAGS, VALUED, Globals, Session
from stepflow_tui.engine.errors import ExitCode, StepFlowError
from stepflow_tui.engine.texts import language


def walk_in(args: Sequence[str]) -> int | None:
    """Open the wizard if that is all that was asked for.

    Returns:
        The process's exit code; None where the command line has to look closer: a command, `--help`, an option it does not
        know, or no terminal to draw on.
    """
    session = bare(args)
    if session is None:
        return None
    tolerant_streams()
    if not wizard.possible(session):
        return None
    language.use(language.wanted(session.globals.lang, os.environ))
    try:
        return wizard.open_wizard(session)
    except StepFlowError as error:
        return diagnostics.fail(error, session)
    except KeyboardInterrupt:
        return diagnostics.interrupted(session, ExitCode.INTERRUPTED)
    except Exception as error:  # the border: whatever nobody foresaw ends here in one line
        return diagnostics.crash(error, session)


def bare(args: Sequence[str]) -> Session | None:
    """The call, if it consists of global options only."""
    given: dict[str, str] = {}
    pending = iter(args)
    for arg in pending:
        name, equals, value = arg.partition("=")
        if name in VALUED:
            given[name] = value if equals else next(pending, "")
        elif arg in FLAGS:
            given[arg] = "yes"
        else:
            return None
    if not all(given.values()) or ("--lang" in given and not language.spoken(given["--lang"])):
        return None
    return Session(
        globals=Globals(
            state_dir=Path(given["--state-dir"]) if "--state-dir" in given else None,
            plain="--plain" in given or wizard.plain_wanted(os.environ),
            json="--json" in given,
            no_input="--no-input" in given,
            no_color="--no-color" in given,
            ascii="--ascii" in given,
            slow="--slow" in given,
            no_mouse="--no-mouse" in given,
            lang=given.get("--lang"),
            read_only="--read-only" in given,
        )
    )


def tolerant_streams() -> None:
    """A terminal that can't show a character gets its escape, not an error; a closed stream swallows what is said."""
    # open for the life of the process
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
