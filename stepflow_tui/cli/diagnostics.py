"""All of stderr: talk, errors with detail, hint and code, questions. Also decides exit codes; nothing shows a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stepflow_tui.cli.output import emit_event, emit_object
from stepflow_tui.crashes import unforeseen
from stepflow_tui.engine.errors import ExitCode, NeedsConfirmation, StepFlowError, UsageError
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.render.clean import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepflow_tui.cli.session import Session

__all__ = ["ExitCode", "NeedsConfirmation", "StepFlowError", "UsageError"]

BROKEN_PIPE = 141
"""What a shell calls the end by SIGPIPE."""

RESULT_BY_CODE = {
    ExitCode.USAGE: "refused",
    ExitCode.REFUSED: "refused",
    ExitCode.HELD: "refused",
    ExitCode.CONFIRMATION: "waiting",
    ExitCode.DIFFERENT: "incomplete",
    ExitCode.INTERRUPTED: "stopped",
    ExitCode.TERMINATED: "stopped",
}
"""The `result` of a run that ended before an engine could write one."""


def say(text: str) -> None:
    """One line of talk."""
    sys.stderr.write(clean_line(text) + "\n")
    sys.stderr.flush()


def fail(error: StepFlowError, session: Session) -> int:
    """Show an error in the form that was asked for; in JSON always in English, for programs read it.

    Returns:
        The exit code.
    """
    if session.globals.json and session.streams:
        emit_event(stamped(session.run, "error", as_dict(error)))
        emit_finished(session.run, int(error.exit_code))
    elif session.globals.json:
        emit_object({"error": as_dict(error)})
    else:
        say(_("error: {text}").format(text=known(error.message)))
        for line in error.detail.splitlines():
            say(f"  {clean_line(known(line))}")
        say(_("hint: {text}").format(text=known(error.hint)))
        say(_("code: {code} (exit {exit})").format(code=error.code, exit=int(error.exit_code)))
    return int(error.exit_code)


def as_dict(error: StepFlowError) -> dict[str, object]:
    """The error as `--json` shows it."""
    return {
        "code": error.code,
        "message": error.message,
        "detail": error.detail,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }


def from_event(event: Mapping[str, Any]) -> StepFlowError:
    """The error that an `error` event tells about, with the exit code it had there."""
    error = StepFlowError(
        str(event["message"]), detail=str(event["detail"]), hint=str(event["hint"]), code=str(event["code"])
    )
    error.exit_code = ExitCode(int(event["exit_code"]))
    return error


def stamped(run: str | None, event: str, data: dict[str, object]) -> dict[str, object]:
    """An event of the front end's own, stamped like the engine's."""
    return {"event": event, "time": iso_utc(time.time_ns() // 1_000_000), "run": run, **data}


def emit_finished(run: str | None, exit_code: int, report: str | None = None) -> None:
    """The last line of `run --json` where no engine wrote one."""
    result = RESULT_BY_CODE.get(ExitCode(exit_code), "failed")
    emit_event(stamped(run, "run_finished", {"result": result, "exit_code": exit_code, "report": report}))


def crash(exc: BaseException, session: Session) -> int:
    """An error nobody foresaw: one line, the traceback goes to a file in the state directory."""
    return fail(unforeseen(exc, session.state_path), session)


class Terminated(BaseException):
    """SIGTERM. Like KeyboardInterrupt no error, and not to be caught as one."""


def interrupted(session: Session, code: ExitCode) -> int:
    """Ctrl-C or SIGTERM outside of following a run."""
    if session.globals.json and session.streams:
        emit_finished(session.run, code)
    elif session.globals.json:
        emit_object({"error": as_dict(_interruption(code))})
    else:
        say(_("interrupted; `stepflow runs` shows whether a run goes on"))
    return int(code)


def _interruption(code: ExitCode) -> StepFlowError:
    error = StepFlowError("Interrupted.", hint="`stepflow runs` shows whether a run goes on.", code="interrupted")
    error.exit_code = code
    return error


def broken_pipe() -> int:
    """The reader of stdout is gone: end quietly, and let the interpreter's last flush go nowhere."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
    return BROKEN_PIPE


def output_lost(reason: str) -> int:
    """stdout can't be written: say so on stderr, and let the interpreter's last flush go nowhere."""
    broken_pipe()
    say(_("error: {text}").format(text=_("The output can't be written: {reason}.").format(reason=reason)))
    say(_("hint: {text}").format(text=_("A run that was started goes on; `stepflow attach` follows it.")))
    say(_("code: {code} (exit {exit})").format(code="output_lost", exit=1))
    return int(ExitCode.FAILED)


def interactive(session: Session) -> bool:
    """Whether a question can be asked: a terminal on both sides, and nobody forbade it."""
    return not session.globals.no_input and not session.globals.json and sys.stdin.isatty() and sys.stderr.isatty()


def ask(prompt: str) -> str:
    """A line from the terminal; the end of input answers nothing."""
    put_prompt(prompt)
    with _ctrl_c_ends_it():
        return sys.stdin.readline().strip()


def redraw(text: str) -> None:
    """Talk that is drawn over by the next such line; "" leaves the line empty."""
    sys.stderr.write(f"\r\x1b[K{clean_line(text)}")
    sys.stderr.flush()


def sees_talk(session: Session) -> bool:
    """Whether somebody watches stderr while a command works."""
    return not session.globals.json and sys.stderr.isatty()


def put_prompt(prompt: str) -> None:
    """A question, with the cursor behind it."""
    sys.stderr.write(clean_line(prompt) + " ")
    sys.stderr.flush()


@contextmanager
def _ctrl_c_ends_it() -> Iterator[None]:
    """While somebody types, Ctrl-C ends the question: an event loop's own handler would only note it and read on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ask_yes(prompt: str) -> bool:
    """A question that only `y` or `yes` affirms, in every language."""
    return ask(f"{prompt} [y/N]").lower() in ("y", "yes")


def need(session: Session, prompt: str, flag: str) -> str:
    """A missing value: asked for on a terminal. `prompt` is a message of the catalog.

    Raises:
        NeedsConfirmation: there is no terminal; `flag` is what to pass instead.
        UsageError: nothing was answered.
    """
    if not interactive(session):
        raise NeedsConfirmation(f"{prompt} is missing.", hint=f"Pass {flag}.", code="needs_value")
    answer = ask(_("{prompt}:").format(prompt=_(prompt)))
    if not answer:
        raise UsageError(f"{prompt} is missing.", hint=f"Answer the question, or pass {flag}.")
    return answer
