"""The engine is gone or does not respond: what is known, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Button

from screens.host import app_of, host
from screens.modals.base import Dialog, Lines, title
from screens.run_words import phase_title
from screens.widgets.afterwards import afterwards
from screens.widgets.choices import Choices
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.engine.texts.running import step_title
from stepflow_tui.render import words
from stepflow_tui.render.alerts import lost_engine
from stepflow_tui.render.clean import clean, clean_line
from stepflow_tui.render.events import event_lines
from stepflow_tui.render.live import sort_of


class EngineLost(Dialog[None]):
    """Shown when an engine vanished; it goes away by itself when there is one again."""

    AUTO_FOCUS = "#cancel"

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot
        self._remains: Mapping[str, Any] = {}

    def compose(self) -> ComposeResult:
        """What is known, and what can be done."""
        self._remains = host(self).api.remains(self.snapshot.path)
        with Vertical(classes="box"):
            yield title(_("The engine of {run} is lost").format(run=self.snapshot.run))
            yield Lines([*self._known(), "", *self._advice(), *self._log()])
            yield Choices(self._choices(), column=True)

    def apply(self, snapshot: Snapshot) -> None:
        """Close when the engine is back; say so when one that hung is gone: now it can be resumed."""
        if not self.is_mounted:
            return
        hung, self.snapshot = self._hangs, snapshot
        if lost_engine(snapshot.status) is None:
            self._close_on_top()
        elif self._hangs != hung:
            self.refresh(recompose=True)
            afterwards(self, lambda: self.query_one("#cancel").focus())

    def on_screen_resume(self) -> None:
        """Close now if the engine came back while something else lay on top."""
        if lost_engine(self.snapshot.status) is None:
            self._close_on_top()

    def _close_on_top(self) -> None:
        if self.is_active:  # dismissing from below would close what lies on top
            self.dismiss(None)

    @property
    def _hangs(self) -> bool:
        return bool(self.snapshot.status["engine"]["alive"])

    @property
    def _command(self) -> str:
        state = host(self).options.state
        return shlex.join(["stepflow", "--state-dir", str(state), "run", str(self._remains["config"])])

    def _known(self) -> Iterator[str]:
        status = self.snapshot.status
        phase = phase_title(str(status.get("phase") or "?"), status)
        step = known(step_title(str(status.get("step")), sort_of(status)))
        yield _("State: {state}, in {phase}, step {step}").format(
            state=words.term(status["state"]), phase=phase, step=step
        )
        beat = status["engine"].get("heartbeat_seconds")
        yield _("Last heartbeat: {time} ago").format(time=words.seconds(beat))
        if self._hangs:
            yield _("The process {pid} is there, but does not respond.").format(pid=status["engine"]["pid"])
        else:
            yield _("The process is gone.")
        told = [line for event in host(self).events for line in event_lines(event, sort_of(self.snapshot.status))]
        if told:
            yield _("Last event: {event}").format(event=clean_line(told[-1].strip()))

    def _advice(self) -> Iterator[str]:
        if self._hangs:
            yield _("It may be stopped (`kill -CONT {pid}` wakes it) or hang on a disk or on the network.").format(
                pid=self.snapshot.status["engine"]["pid"]
            )
            yield _("Once it has ended, the run goes on from its last checkpoint.")
        else:
            yield _("Nothing is lost: Resume starts a new engine, which goes on from the last checkpoint.")

    def _log(self) -> Iterator[str]:
        lines = [line for line in clean(str(self._remains.get("log") or "")).splitlines() if line.strip()]
        if lines:
            yield ""
            yield _("End of its log:")
            yield from ("  " + line for line in lines[-5:])

    def _choices(self) -> list[tuple[str, str]]:
        found = [("cancel", _("Close: look around first"))]
        resumable = not self._hangs and not host(self).options.read_only and self._remains.get("config")
        if resumable:
            found.append(("resume", _("Resume: start the engine again")))
        if self._remains.get("config"):
            found.append(("copy", _("Copy the command: {command}").format(command=self._command)))
        return [*found, ("leave", _("Leave"))]

    @on(Button.Pressed, "#cancel")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#resume")
    def _resume(self) -> None:
        host(self).begin(Path(self._remains["config"]))
        self.dismiss(None)

    @on(Button.Pressed, "#copy")
    def _copy(self) -> None:
        app_of(self).copy_to_clipboard(self._command)
        self.notify(self._command, title=_("Copied"), markup=False)

    @on(Button.Pressed, "#leave")
    def _leave(self) -> None:
        host(self).leave()
