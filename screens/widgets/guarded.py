"""Work in the background whose errors are shown: nothing that goes wrong there may end the app, or end unseen."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from textual.dom import DOMNode

from screens.host import host
from stepflow_tui.crashes import unforeseen
from stepflow_tui.engine.errors import StepFlowError


def in_background(node: DOMNode, work: Coroutine[Any, Any, object], *, group: str, exclusive: bool = False) -> None:
    """Do the work in a worker of this node; whatever goes wrong is shown.

    Args:
        exclusive: end the same group's earlier work.
    """
    node.run_worker(guarded(node, work), group=group, exclusive=exclusive, exit_on_error=False)


async def guarded(node: DOMNode, work: Coroutine[Any, Any, object]) -> None:
    """Do the work; an error is shown with its hint, one that nobody foresaw with the place of its traceback."""
    app = host(node)
    try:
        await work
    except StepFlowError as error:
        app.show_error(error)
    except Exception as error:  # the border of a worker: beyond it nobody would hear of it
        app.show_error(unforeseen(error, app.options.state))
