"""What an error ends that nobody foresaw and no worker held: this front end, never the run, and never without a trace."""

from __future__ import annotations

from typing import Any

from textual.app import App
from textual.worker import WorkerFailed

from stepflow_tui.bridge import WizardOptions
from stepflow_tui.crashes import unforeseen
from stepflow_tui.engine.errors import StepFlowError


class Crashing(App[Any]):
    """An app that keeps the traceback of what ends it in a file; `crash` is what the terminal is told afterwards."""

    options: WizardOptions
    crash: StepFlowError | None = None

    def _handle_exception(self, error: Exception) -> None:
        """Textual would draw the traceback on the terminal, with the values of all variables in it."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
            cause = error.error if isinstance(error, WorkerFailed) else error
            self.crash = unforeseen(cause, self.options.state)
        self._close_messages_no_wait()
