"""The engine process: lock, start line, config, journal, lease, ready, the runner, and out.

Owns the order in which an engine comes up and goes down; what it does in between is `session.py` and the runner.
"""

from __future__ import annotations

import asyncio
import faulthandler
import io
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, TextIO

from stepflow_tui.engine.application.streams import keep_private
from stepflow_tui.engine.config import LoadedConfig
from stepflow_tui.engine.errors import ConfigError, StepFlowError
from stepflow_tui.engine.journal.launch import StartLine
from stepflow_tui.engine.journal.lock import take_lock
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.redact import Redact
from stepflow_tui.engine.session import Session, Wiring, secrets_of

START_LINE_SECONDS = 30.0


class RedactingStream(io.TextIOBase):
    """The engine's log: every line passes the redaction before it reaches the disk."""

    def __init__(self, stream: TextIO, redact: Redact) -> None:
        self._stream = stream
        self._redact = redact

    def write(self, text: str) -> int:
        """Write redacted text."""
        self._stream.write(self._redact(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self._stream.flush()


def engine_main(run_dir: Path, wiring: Wiring) -> NoReturn:
    """The whole life of an engine process; never returns.

    Ends with `os._exit`: a leftover database thread must not keep the process, and with it the lock, alive.
    """
    code = 1
    try:
        code = _engine(run_dir, wiring)
    except StepFlowError as exc:
        code = int(exc.exit_code)
        sys.stderr.write(f"{exc}\n")
        _say({"state": "failed", "error": _parts(exc)})
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _engine(run_dir: Path, wiring: Wiring) -> int:
    take_lock(run_dir)  # held until the process is gone
    start = StartLine.parse(_read_line())
    keep_private()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    faulthandler.enable()
    env = dict(os.environ) | start.env
    loaded = _loaded(run_dir, start, env, wiring)
    redact = secrets_of(loaded, start.env)
    sys.stderr = RedactingStream(sys.stderr, redact)
    session = Session(run_dir=run_dir, start=start, loaded=loaded, wiring=wiring, redact=redact, ready=_ready)
    return asyncio.run(session.serve())


def _loaded(run_dir: Path, start: StartLine, env: Mapping[str, str], wiring: Wiring) -> LoadedConfig:
    path = _config_path(run_dir, start)
    if start.going_back:
        from stepflow_tui.engine.steps.application.kept_config import config_to_go_back  # knows every recipe

        return config_to_go_back(run_dir, path, env, wiring.load_config)
    return wiring.load_config(path, env)


def _read_line() -> bytes:
    """The start line; b"" when the front end died before it was sent."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([0], [], [], START_LINE_SECONDS)[0]:
            raise ConfigError(
                "The engine got no start line.", hint="Start it with `stepflow run`.", code="no_start_line"
            )
        piece = os.read(0, 65536)
        if not piece:
            break
        line += piece
    return line


def _config_path(run_dir: Path, start: StartLine) -> Path:
    if start.config:
        return Path(start.config)
    with RunReader(run_dir) as reader:
        run = reader.run()
    if run is None:
        raise ConfigError(f"The run {run_dir.name} names no config file.", hint="Start it with `stepflow run CONFIG`.")
    return Path(run["config_path"])


def _ready(epoch: int) -> None:
    """Tell the front end, then let go of it: a later write to a closed pipe would be an error."""
    _say({"state": "ready", "pid": os.getpid(), "epoch": epoch})
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def _say(message: dict[str, object]) -> None:
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:  # the front end is gone; the run is not
        return


def _parts(error: StepFlowError) -> dict[str, object]:
    return {
        "code": error.code,
        "message": error.message,
        "detail": error.detail,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }
