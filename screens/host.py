"""What screens may ask of the app they live in. Screens know this protocol, never the app's class."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from textual.app import App
    from textual.dom import DOMNode

    from screens.glyphs import Glyphs
    from stepflow_tui.bridge import Bridge, Snapshot, WizardOptions
    from stepflow_tui.engine.errors import StepFlowError
    from stepflow_tui.facade import Facade, RunInfo

KEPT_EVENTS = 2000
"""Events kept in memory for the log; the journal has all of them."""


class Host(Protocol):
    """The app, as screens see it."""

    options: WizardOptions
    api: Facade
    glyphs: Glyphs
    bridge: Bridge | None
    snapshot: Snapshot | None
    events: deque[Mapping[str, Any]]
    refresh_seconds: float
    demos: tuple[Path, ...]

    def open_run(self, run: RunInfo) -> None:
        """Watch a run and show it."""
        ...

    def begin(self, config: Path, *, new: bool = False) -> None:
        """Start, resume or attach to the run of a config, then show it; an invalid config opens the config screen."""
        ...

    def open_config(self, config: Path) -> None:
        """Show a config file: what it says, what is wrong with it."""
        ...

    def act(
        self,
        verb: str,
        args: Mapping[str, Any] | None = None,
        *,
        then: Callable[[Mapping[str, Any]], object] | None = None,
        take_control: bool = False,
    ) -> None:
        """Send an intent of the operator's; `then` gets the answer. Refusals are shown, never raised."""
        ...

    def show_error(self, error: StepFlowError) -> None:
        """Show an error with detail, hint and code."""
        ...

    def go_home(self) -> None:
        """Leave the run and show the list of runs."""
        ...

    def leave(self) -> None:
        """End this front end; engines go on."""
        ...


def host(node: DOMNode) -> Host:
    """The app of a widget or screen."""
    return cast("Host", node.app)


def app_of(node: DOMNode) -> App[Any]:
    """The same app, as Textual sees it."""
    return node.app
