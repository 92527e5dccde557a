"""Every error StepFlow raises on purpose. Imports nothing of ours.

StepFlowError                1   anything a front end shows
├── UsageError               2   a call, a name or a run that can't be used
│   └── ConfigError          2   the config file, all problems at once
├── TargetConnectionError    3   target down, password refused, TLS, lost after retries
├── Refused                  4   a check or guard says no; nothing was changed
│   └── Drift                4   what was planned is no longer what is there
├── Different                5   rows rejected, missing or different
├── NeedsConfirmation        6   a question nobody was there to answer
├── Held                     7   another run or engine holds it
└── StepFailed               1   a step could not be done
    ├── DiskFull             1
    ├── EngineLost           1   the engine process is gone; the run can be resumed
    └── OutcomeUnknown       1   commit sent, answer lost: looked at, never retried blindly
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The documented exit codes. Several apply at once: the first of 2, 7, 3, 4, 6, 1, 5."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONNECTION = 3
    REFUSED = 4
    DIFFERENT = 5
    CONFIRMATION = 6
    HELD = 7
    INTERRUPTED = 130
    TERMINATED = 143


PRECEDENCE = (2, 7, 3, 4, 6, 1, 5, 0)
"""Which code is returned when several apply."""


class StepFlowError(Exception):
    """Root of all errors a front end shows.

    Args:
        message: what went wrong and where, one sentence.
        detail: what was seen (a server's words, a line of a file); may be empty.
        hint: what to do now. Every error has one.
        code: stable, machine-readable name of the problem.
    """

    exit_code: ExitCode = ExitCode.FAILED
    default_code = "failed"
    default_hint = "Look at the detail above; `stepflow doctor` shows what this machine offers."

    def __init__(self, message: str, *, detail: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint or self.default_hint
        self.code = code or self.default_code

    def __str__(self) -> str:
        lines = [self.message]
        if self.detail:
            lines.append(f"DETAIL: {self.detail}")
        lines.append(f"HINT: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Errors cross process borders (worker → engine) with all their parts."""
        return _rebuild, (type(self), self.message, self.detail, self.hint, self.code)


def _rebuild(cls: type[StepFlowError], message: str, detail: str, hint: str, code: str) -> StepFlowError:
    return cls(message, detail=detail, hint=hint, code=code)


class UsageError(StepFlowError):
    """A call, a name or a run that can't be used."""

    exit_code = ExitCode.USAGE
    default_code = "usage"
    default_hint = "`stepflow --help` lists the commands and their options."


class ConfigError(UsageError):
    """The config file can't be used; `detail` lists all problems, one per line."""

    default_code = "config"
    default_hint = "Correct the lines named above; config.example.yaml explains every key."


class TargetConnectionError(StepFlowError):
    """The target can't be reached, refuses the login, or was lost after retries."""

    exit_code = ExitCode.CONNECTION
    default_code = "connection"
    default_hint = "Check that the server runs, and the host, port, user, password and database of `target.dsn`."


class Refused(StepFlowError):
    """A check or a guard says no. Nothing was changed."""

    exit_code = ExitCode.REFUSED
    default_code = "refused"
    default_hint = "`stepflow check` lists every finding with its fix."


class Drift(Refused):
    """What was planned or approved is no longer what is there."""

    default_code = "drift"
    default_hint = "Plan again with `stepflow plan`, then start a new run with `stepflow run --new`."


class Different(StepFlowError):
    """Rows were rejected, are missing or differ, or the source changed during the run."""

    exit_code = ExitCode.DIFFERENT
    default_code = "different"
    default_hint = "The report lists every row and its reason: `stepflow report`."


class NeedsConfirmation(StepFlowError):
    """A question nobody was there to answer."""

    exit_code = ExitCode.CONFIRMATION
    default_code = "needs_confirmation"
    default_hint = "Answer it on a terminal, or pass --yes (and --confirm NAME in production)."


class Held(StepFlowError):
    """Another run or engine holds the run, the source or the target."""

    exit_code = ExitCode.HELD
    default_code = "held"
    default_hint = (
        "`stepflow runs` shows what runs; attach to it with `stepflow attach`, or end it with `stepflow abort`."
    )


class StepFailed(StepFlowError):
    """A step could not be done; the run can be resumed."""

    default_code = "step_failed"
    default_hint = "Remove the cause, then `stepflow run` again: it goes on from the last checkpoint."


class DiskFull(StepFailed):
    """No room left on a disk of this machine or of the target."""

    default_code = "disk_full"
    default_hint = "Make room, then `stepflow run` again: it goes on from the last checkpoint."


class EngineLost(StepFailed):
    """The engine process is gone while a front end watched it."""

    default_code = "engine_lost"
    default_hint = "Nothing is lost: `stepflow run` resumes from the last checkpoint; engine.log tells why it ended."


class OutcomeUnknown(StepFailed):
    """A commit was sent and its answer lost. Resolved by looking, never by a blind retry."""

    default_code = "outcome_unknown"
    default_hint = "Run `stepflow run` again: it looks at what the target holds before it does anything."


class Stopping(Exception):
    """Raised by `Control.checkpoint()` when the engine was told to end (SIGTERM) or the run to abort.

    Steps let it pass after leaving their work at a checkpoint; only the runner catches it.
    """

    def __init__(self, *, abort: bool = False) -> None:
        super().__init__("abort" if abort else "stop")
        self.abort = abort
