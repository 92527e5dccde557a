"""What an error ends that nobody foresaw and no worker held: this front end, never the run, and never without a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from textual.app import App
from textual.worker import WorkerFailed

from stepflow_tui.bridge import WizardOptions
from stepflow_tui.crashes import unforeseen
from stepflow_tui.engine.errors import StepFlowError

if TYPE_CHECKING:
    from screens.host import Host


class Crashing(App[Any]):
    """An app that keeps the traceback of what ends it in a file; `crash` is what the terminal is told afterwards."""

    options: WizardOptions
    crash: StepFlowError | None = None

    def on_mount(self) -> None:
        """Take over what the event loop would print on the terminal: errors of its callbacks."""
        asyncio.get_running_loop().set_exception_handler(self._unheard)

    def _unheard(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """A callback failed, or a task that nobody waits for. Shown like an error of a worker; the app goes on."""
        error = context.get("exception")
        told = unforeseen(error or RuntimeError(str(context.get("message"))), self.options.state)
        if self.is_running:
            cast("Host", self).show_error(told)

    def _handle_exception(self, error: Exception) -> None:
        """Textual would draw the traceback on the terminal, with the values of all variables in it."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
            cause = error.error if isinstance(error, WorkerFailed) else error
            self.crash = unforeseen(cause, self.options.state)
        self._close_messages_no_wait()
