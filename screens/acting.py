"""Handing the operator's intents to the engine, and showing what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from textual.app import App

from screens.widgets.guarded import in_background
from stepflow_tui.bridge import Bridge, WizardOptions
from stepflow_tui.engine.errors import Held, StepFlowError
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.render.clean import clean, clean_line

Then = Callable[[Mapping[str, Any]], object]


class Acting(App[Any]):
    """An app whose operator can steer the open run."""

    options: WizardOptions
    bridge: Bridge | None

    def act(
        self, verb: str, args: Mapping[str, Any] | None = None, *, then: Then | None = None, take_control: bool = False
    ) -> None:
        """Send an intent in the background; `then` gets the answer. A refusal is shown."""
        if self.bridge is None or self.refused():
            return
        work = self._send(self.bridge, verb, dict(args or {}), then, take_control=take_control)
        in_background(self, work, group="act")

    def refused(self) -> bool:
        """Whether this session may only watch; if so, it says so."""
        if self.options.read_only:
            self.notify(
                _("This session is read-only: it watches and changes nothing."), severity="warning", markup=False
            )
        return self.options.read_only

    async def _send(
        self, bridge: Bridge, verb: str, args: dict[str, Any], then: Then | None, *, take_control: bool
    ) -> None:
        try:
            answer = await bridge.send(verb, args, take_control=take_control)
        except Held as error:
            self.control_is_held(error, lambda: self.act(verb, args, then=then, take_control=True))
        except StepFlowError as error:
            if error.code == "control_held":
                self.control_is_held(error, lambda: self.act(verb, args, then=then, take_control=True))
            else:
                self._asked_or_shown(error, lambda: self.act(verb, args, then=then, take_control=take_control))
        else:
            self.look_now()  # type: ignore[attr-defined]  # the watching half of the app
            if then is not None:
                then(answer)

    def _asked_or_shown(self, error: StepFlowError, again: Callable[[], None]) -> None:
        """A variable that is all the config lacks is asked for; other errors are shown."""
        from screens.modals.missing import ask_missing

        if not ask_missing(self, error, self.options.env, again):
            self.show_error(error)

    def control_is_held(self, error: StepFlowError, again: Callable[[], None]) -> None:
        """Somebody else steers: say who, and offer to take control."""
        from screens.modals.control import ControlHeld

        self.push_screen(ControlHeld(error), lambda take: again() if take else None)

    def show_error(self, error: StepFlowError) -> None:
        """An error with detail, hint and code."""
        lines = [known(error.detail), known(error.hint), f"{error.code} ({int(error.exit_code)})"]
        self.notify(
            "\n".join(clean(line) for line in lines if line),
            title=clean_line(known(error.message)),
            severity="error",
            timeout=20,
            markup=False,
        )
