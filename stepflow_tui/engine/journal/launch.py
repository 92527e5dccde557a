"""Starting the detached engine: its own session, secrets over its standard input, ready or the reason why not.

Secrets go neither by argument (everybody can read those) nor by environment (every child inherits it).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import (
    ConfigError,
    EngineLost,
    ExitCode,
    Held,
    Refused,
    StepFailed,
    StepFlowError,
    TargetConnectionError,
    UsageError,
)
from stepflow_tui.engine.journal.rundir import ENGINE_LOG

READY_SECONDS = 30.0
TAIL_LINES = 15
ENGINE_COMMAND = (sys.executable, "-P", "-m", "stepflow_tui.engine")
"""-P keeps the current folder out of the module path; -I would hide packages installed with `pip install --user`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLine:
    """The one line an engine reads from its standard input.

    Args:
        config: absolute path of the config file; "" to take the one the journal names.
        env: variables for `${VAR}` in the config that must not stand in the engine's environment.
        going_back: it may go by the config that the run keeps, where the file was edited while the application stood still.
        command_only: the engine was started for intents already in the journal; it ends after those that don't go on.
        yes, confirm, until, interactive, who: `steps.context.Answers`.
    """

    config: str = ""
    env: dict[str, str] = field(default_factory=dict, repr=False)
    going_back: bool = False
    command_only: bool = False
    yes: bool = False
    confirm: str | None = None
    until: str | None = None
    interactive: bool = False
    who: str = ""

    def line(self) -> bytes:
        """As sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> StartLine:
        """As received. Raises ConfigError on an empty or broken line (the front end died before it was sent)."""
        try:
            data: dict[str, Any] = json.loads(line)
            return cls(**data)
        except (ValueError, TypeError) as exc:
            raise ConfigError(
                "The engine was started without its start line.", detail=str(exc), hint="Start it with `stepflow run`."
            ) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A started engine."""

    pid: int
    epoch: int


def launch(
    run_dir: Path, start: StartLine, *, command: Sequence[str] = ENGINE_COMMAND, seconds: float = READY_SECONDS
) -> Launched:
    """Start the engine of a run and wait until it is ready. Blocks: an event loop calls it in a thread.

    Args:
        command: how the engine is started, without the run folder.
        seconds: how long it may take to be ready.

    Raises:
        Held: another engine has the run; attach to it.
        StepFlowError: the engine's own reason for not starting (config, journal, locks).
        EngineLost: it ended, or never became ready; the detail is the tail of its log.
    """
    run_dir = run_dir.absolute()
    process = _spawn(run_dir, start, command)
    try:
        _send(process, start)
        ready = _wait_ready(process, seconds)
    except BaseException:
        process.kill()
        raise
    if ready is not None and ready["state"] == "failed":
        process.wait()
        raise _told(ready["error"])
    if ready is None:
        raise _failure(run_dir, process)
    threading.Thread(target=process.wait, daemon=True).start()  # it outlives us, or leaves no zombie if we outlive it
    return Launched(pid=process.pid, epoch=int(ready["epoch"]))


def _spawn(run_dir: Path, start: StartLine, command: Sequence[str]) -> subprocess.Popen[bytes]:
    log = os.open(run_dir / ENGINE_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [*command, str(run_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=_environment(start),
        )
    finally:
        os.close(log)


def _environment(start: StartLine) -> dict[str, str]:
    """The front end's environment without what goes over the pipe, and with the folder this package was loaded from."""
    env = {k: v for k, v in os.environ.items() if k not in start.env}
    home = str(Path(__file__).parents[3])
    others = [p for p in env.get("PYTHONPATH", "").split(os.pathsep) if p and p != home]
    # two heaps instead of one per thread: glibc gives freed memory of the others back late or never
    return {"MALLOC_ARENA_MAX": "2"} | env | {"PYTHONPATH": os.pathsep.join([home, *others])}


def _send(process: subprocess.Popen[bytes], start: StartLine) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(start.line())
        process.stdin.close()
    except BrokenPipeError:  # it ended before it read: its exit code and log tell why
        return


def _wait_ready(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
    """The ready line; None when the engine ended or time is over."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    seen = b""
    with process.stdout as pipe:
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([pipe], [], [], left)[0]:
                break
            piece = os.read(pipe.fileno(), 4096)
            if not piece:
                return None
            seen += piece
            if b"\n" in seen:
                ready: dict[str, Any] = json.loads(seen.split(b"\n")[0])
                return ready
    process.kill()
    return None


def _told(error: dict[str, Any]) -> StepFlowError:
    """The engine's own words about why it did not start."""
    kinds: dict[int, type[StepFlowError]] = {
        ExitCode.USAGE: UsageError,
        ExitCode.CONNECTION: TargetConnectionError,
        ExitCode.REFUSED: Refused,
        ExitCode.HELD: Held,
    }
    kind = kinds.get(error["exit_code"], StepFailed)
    return kind(error["message"], detail=error["detail"], hint=error["hint"], code=error["code"])


def _failure(run_dir: Path, process: subprocess.Popen[bytes]) -> Held | EngineLost:
    code = process.wait()
    if code == ExitCode.HELD:
        return Held(f"Another engine works on the run {run_dir.name}.", code="engine_held")
    return EngineLost(
        f"The engine of {run_dir.name} ended before it was ready (exit code {code}).",
        detail=log_tail(run_dir),
        hint=f"The log is {run_dir / ENGINE_LOG}; remove the cause, then `stepflow run` again.",
        code="engine_start",
    )


def log_tail(run_dir: Path) -> str:
    """The last lines of the engine's log; of a traceback only its last line, which says what went wrong."""
    try:
        text = (run_dir / ENGINE_LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = text.splitlines()[-TAIL_LINES:]
    return lines[-1] if any(line.startswith(("Traceback", "  File ")) for line in lines) else "\n".join(lines)
