"""Writing copies of what is shown to files, in the background, and saying where they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from textual.screen import Screen

from screens.host import app_of, host
from screens.writing import write_new
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.clean import clean_line


def save(screen: Screen[Any], base: Path, texts: Callable[[], Mapping[str, str]]) -> None:
    """Write what `texts` gives (by suffix) beside each other, and tell the paths. It is called in a thread."""
    screen.run_worker(_saving(screen, base, texts), group="save", exit_on_error=False)


async def _saving(screen: Screen[Any], base: Path, texts: Callable[[], Mapping[str, str]]) -> None:
    try:
        written = await asyncio.to_thread(lambda: write_new(base, texts()))
    except StepFlowError as error:
        host(screen).show_error(error)
        return
    listed = "\n".join(clean_line(str(path)) for path in written)
    app_of(screen).notify(listed, title=_("Written"), timeout=15, markup=False)
