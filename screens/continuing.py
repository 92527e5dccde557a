"""Going on after the process was stopped: by `kill -STOP` from outside as well as by the shell's own suspension."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver


class Continuing(App[Any]):
    """An app that takes its terminal again when it goes on.

    Textual starts application mode at every SIGCONT; after a SIGSTOP, which nobody can catch, it was never left. Two
    threads then read the terminal, keys get lost between them, and the end waits for both.
    """

    def on_mount(self) -> None:
        """Take SIGCONT over from Textual's driver."""
        if isinstance(self._driver, LinuxDriver):
            asyncio.get_running_loop().add_signal_handler(signal.SIGCONT, self._went_on, self._driver)

    def _went_on(self, driver: LinuxDriver) -> None:
        suspended = driver._must_signal_resume
        if not suspended:
            driver.suspend_application_mode()
            driver._must_signal_resume = True
        driver.resume_application_mode()
        self.refresh(layout=True)
