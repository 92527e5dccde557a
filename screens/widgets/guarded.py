"""Work in the background whose errors are shown: nothing that goes wrong there may end the app, or end unseen."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from textual.dom import DOMNode

from screens.host import host
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.texts.language import _


async def guarded(node: DOMNode, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; an error is shown with its hint, one that nobody foresaw as what it is."""
    try:
        await work
    except StepFlowError as error:
        host(node).show_error(error)
    except Exception as error:  # the border of a worker: beyond it nobody would hear of it
        host(node).show_error(
            StepFailed(
                _("StepFlow met an error of its own."),
                detail=f"{type(error).__name__}: {error}",
                hint=_("Nothing was changed. Please report it."),
                code="internal",
            )
        )
