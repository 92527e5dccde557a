"""Copying out of the terminal: always into a file, and into the clipboard by tmux or OSC 52 where that can work.

A terminal never says whether it took an OSC 52, so the file is what can be relied on.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from stepflow_tui.engine.texts.language import _
from stepflow_tui.files import file_name, save_text
from stepflow_tui.render.clean import clean, clean_line

if TYPE_CHECKING:
    from textual.app import App

    from screens.host import Host

FOLDER = "copies"
LONGEST_CLIP = 74 * 1024
"""Bytes of base64 in one OSC 52: longer ones are dropped or cut by terminals."""
TMUX_SECONDS = 3.0


def copy_text(app: App[Any], text: str, name: str) -> None:
    """Copy a text in the background and say where it is.

    Args:
        name: what the file is called; a time is added.
    """
    app.run_worker(_copy(app, clean(text), name), group="copy", exit_on_error=False)


async def _copy(app: App[Any], text: str, name: str) -> None:
    seen = cast("Host", app)
    stamp = seen.options.now().strftime("%Y%m%dT%H%M%S")
    try:
        path = await asyncio.to_thread(save_text, folders(seen), f"{file_name(name)}-{stamp}", ".txt", [text])
    except OSError as error:
        path, problem = None, str(error)
    how = await _to_clipboard(app, text)
    if path is not None:
        app.notify(clean_line(str(path)), title=how or _("Too long for the clipboard: written to a file"), markup=False)
    else:
        app.notify(clean_line(problem), title=how or _("Nothing was copied"), severity="warning", markup=False)


async def _to_clipboard(app: App[Any], text: str) -> str:
    """Returns what was done, "" for nothing."""
    if "TMUX" in os.environ and await asyncio.to_thread(_to_tmux, text):
        return _("Copied to tmux's buffer and to a file")
    if len(base64.b64encode(text.encode())) > LONGEST_CLIP:
        return ""
    app.copy_to_clipboard(text)
    return _("Copied to the terminal's clipboard and to a file")


def _to_tmux(text: str) -> bool:
    """tmux keeps it and hands it on to the terminal outside (`-w`)."""
    command = ("tmux", "load-buffer", "-w", "-")
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=TMUX_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no tmux here, or it hangs: the terminal itself is tried next
        return False
    return done.returncode == 0


def folders(seen: Host) -> Iterator[Path]:
    """Where files may go, the best place first: the run's folder, the state directory, a temporary folder."""
    if seen.bridge is not None:
        yield seen.bridge.run.path / FOLDER
    yield seen.options.state / FOLDER
    yield Path(tempfile.mkdtemp(prefix="stepflow-"))
