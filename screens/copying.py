"""Taking what is shown out of the terminal: copies always into a file, and into the clipboard where that can work; exports.

A terminal never says whether it took an OSC 52, so the file is what can be relied on.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.screen import Screen

from screens.host import app_of
from screens.widgets.guarded import in_background
from stepflow_tui.engine.texts.language import _
from stepflow_tui.files import file_name, save_text, write_new
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
    in_background(app, _copy(app, clean(text), name), group="copy")


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


def save(screen: Screen[Any], base: Path, texts: Callable[[], Mapping[str, str]]) -> None:
    """Write what `texts` gives (by suffix) beside each other, and tell the paths. It is called in a thread."""
    in_background(screen, _saving(screen, base, texts), group="save")


async def _saving(screen: Screen[Any], base: Path, texts: Callable[[], Mapping[str, str]]) -> None:
    written = await asyncio.to_thread(lambda: write_new(base, texts()))
    listed = "\n".join(clean_line(str(path)) for path in written)
    app_of(screen).notify(listed, title=_("Written"), timeout=15, markup=False)
