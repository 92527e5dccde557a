"""The child's side of `child.py`: reads one request, writes events and one result. Imports little, so that it starts fast."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from stepflow_tui.engine.errors import StepFlowError

Emit = Callable[[dict[str, Any]], None]
Handler = Callable[[dict[str, Any], Emit], Any]


def serve(handler: Handler) -> NoReturn:
    """The child's side: one request from stdin, events and one result (or a StepFlowError) to stdout.

    Args:
        handler: gets the request and a function that emits events; returns something JSON-ready.
    """
    os.umask(0o077)
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def write(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    try:
        write({"result": handler(request, lambda event: write({"event": event}))})
    except StepFlowError as error:
        write({"error": [type(error).__name__, error.message, error.detail, error.hint, error.code]})
    # Nothing is left to tidy up, and tidying up would wait for the thread that reads stdin.
    os._exit(0)


def _die_with_parent() -> None:
    """Ends this process when the parent's end of stdin closes: an orphan must not go on writing a file."""
    while os.read(0, 65_536):
        pass
    os._exit(1)


def path_text(path: str | os.PathLike[str]) -> str:
    """A path as JSON-safe text: its bytes in hexadecimal, since a name need not be UTF-8."""
    return os.fsencode(path).hex()


def text_path(text: str) -> Path:
    """The inverse of `path_text`."""
    return Path(os.fsdecode(bytes.fromhex(text)))
