"""The door to the wizard: whether it can be drawn here, and opening it. The only module that loads Textual."""

from __future__ import annotations

import codecs
import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.cli.diagnostics import fail, say
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import _, language
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

if TYPE_CHECKING:
    from stepflow_tui.facade import RunInfo

UTF_8 = "utf-8"


def plain_wanted(env: Mapping[str, str]) -> bool:
    """Whether the environment asks for lines and numbered questions: a screen reader, a terminal that can't draw."""
    return env.get("ACCESSIBLE", "") not in ("", "0") or env.get("TERM") == "dumb"


def prompts_possible(session: Session) -> bool:
    """Whether somebody is there to answer numbered questions: they are asked on stderr and answered on stdin."""
    asked_otherwise = session.globals.json or session.globals.no_input
    return not asked_otherwise and sys.stdin.isatty() and sys.stderr.isatty()


def possible(session: Session) -> bool:
    """Whether the wizard can be drawn. It reads stdin and draws on stderr, so both must be terminals, and stdout too:
    who redirects it wants data.
    """
    asked_otherwise = session.globals.json or session.globals.no_input or session.globals.plain
    return not asked_otherwise and all(s.isatty() for s in (sys.stdin, sys.stdout, sys.stderr))


def open_wizard(session: Session, *, run: RunInfo | None = None, config: Path | None = None) -> int:
    """Open the wizard: on the list of runs, on a run, or starting the run of a config.

    Returns:
        The process's exit code: the run's, if it has ended.
    """
    encoding = terminal_encoding(os.environ, sys.stderr.encoding)
    slow = session.globals.slow or bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
    _prepare(session, slow=slow)
    gc.disable()  # nothing that is imported becomes garbage; the app switches it on again once it has painted
    from stepflow_tui.app import StepFlowApp
    from stepflow_tui.bridge import WizardOptions
    from stepflow_tui.facade import facade

    options = WizardOptions(
        state=session.state_path,
        read_only=session.globals.read_only,
        ascii=session.globals.ascii or encoding != UTF_8,
        encoding=encoding,
        slow=slow,
        mouse=not session.globals.no_mouse,
        open_run=run,
        new_run=config,
    )
    app = StepFlowApp(facade(), options)
    app.run(mouse=options.mouse)
    if app.crash is not None:
        return fail(app.crash, session)
    if app.snapshot is not None and app.snapshot.status:
        say(_parting(app.snapshot.status))
    return _demos_settled(session, app.demos, app.return_code or 0)


def _demos_settled(session: Session, demos: Sequence[Path], code: int) -> int:
    """Close the shops of demos that were begun from the list of runs, and tell their figures."""
    from stepflow_tui.cli.demo import is_in_place, settle
    from stepflow_tui.cli.demo_live import close_shop, tell_benchmark
    from stepflow_tui.facade import facade

    for config in demos:
        in_place = is_in_place(session, facade(), config)
        code = close_shop(config, code, in_place=in_place)
        if in_place:
            tell_benchmark(session, facade(), config)
        settle(session, facade(), config)
    return code


def _parting(status: Mapping[str, Any]) -> str:
    """What becomes of the run that was watched, and how to see it again."""
    run, state = clean_line(str(status["run"])), words.term(status["state"])
    if (status.get("engine") or {}).get("alive"):
        return _("The run goes on without this screen ({state}). To see it again: stepflow attach {run}").format(
            run=run, state=state
        )
    return _("{run}: {state}. To see it again: stepflow attach {run}").format(run=run, state=state)


def _prepare(session: Session, *, slow: bool) -> None:
    """What Textual reads once, when it is imported; and a hang-up that ends this process even under nohup."""
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    if slow:
        os.environ["TEXTUAL_FPS"] = "10"
    if session.globals.no_color:
        os.environ["NO_COLOR"] = "1"
    # ignored under nohup: the app would spin on a terminal that is gone; a front end has nothing to tidy up
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def terminal_encoding(env: Mapping[str, str], written: str) -> str:
    """What the terminal understands, by the locale's name.

    Python's own streams don't tell: in the locale C, and in one that is not installed, it writes UTF-8 and sets LC_CTYPE to
    C.UTF-8. Without any locale the terminal is believed to be a modern one, and so it is when somebody asked for Chinese.

    Args:
        written: the encoding that Python writes in.
    """
    locale = env.get("LC_ALL") or (env.get("LC_CTYPE") if env.get("LC_CTYPE") != "C.UTF-8" else "") or env.get("LANG")
    charset = (locale or "").partition("@")[0].partition(".")[2]
    if not locale or language() != "en" or _same_codec(charset, UTF_8):
        return UTF_8
    return charset if _same_codec(charset, written) else "ascii"


def _same_codec(one: str, other: str) -> bool:
    try:
        return codecs.lookup(one).name == codecs.lookup(other).name
    except LookupError:
        return False
