"""What every plain question may use: the session, the engine, the run that is being watched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from stepflow_tui.cli import diagnostics
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.errors import Held, StepFlowError
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.facade import Facade, RunInfo, RunReaderApi, Started
from stepflow_tui.keymap import check_keymap

T = TypeVar("T")


class Next(StrEnum):
    """Where to go after a menu's entry."""

    MENU = "menu"  # the same menu again
    WATCH = "watch"  # watch the run
    HOME = "home"  # the main menu
    LEAVE = "leave"


@dataclass(slots=True, kw_only=True)
class Desk:
    """One plain session.

    Args:
        env: variables for `${VAR}` in configs: the process's and what was typed here, in memory only.
        folder: where configs are looked for and written.
        code: the exit code so far: that of the last run watched to its end.
    """

    session: Session
    engine: Facade
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    folder: Path = field(default_factory=Path.cwd)
    code: int = 0

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.session.state_path

    def tried(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of a call of the engine, None when it failed: then why was said."""
        try:
            return asyncio.run(work)
        except StepFlowError as error:
            self.tell(error)
            return None

    def start(self, config: Path, *, new: bool = False) -> Started | None:
        """Start, resume or attach to the run of a config; None when it was refused: then why was said."""
        return self.tried(self._start(config, new=new))

    async def _start(self, config: Path, *, new: bool) -> Started:
        return await self.engine.start(
            self.engine.load_config(config, self.env, (check_keymap,)),
            state=self.state,
            until=None,
            plan_file=None,
            new=new,
            yes=False,
            confirm=None,
            interactive=True,
        )

    def tell(self, error: StepFlowError) -> None:
        """Say what went wrong."""
        diagnostics.fail(error, self.session)

    def may_act(self) -> bool:
        """Whether this session may change anything; says so where not."""
        if self.session.globals.read_only:
            diagnostics.say(_("This session is read-only: it watches and changes nothing."))
        return not self.session.globals.read_only


@dataclass(slots=True, kw_only=True)
class Place:
    """The run that is being watched. `ended`: its exit code, once it has one."""

    desk: Desk
    info: RunInfo
    reader: RunReaderApi
    ended: int | None = None

    @property
    def status(self) -> dict[str, Any]:
        """The run's state now."""
        return self.reader.status()

    @property
    def me(self) -> str:
        """The name under which this session holds control."""
        return self.desk.engine.sender(terminal_name())

    def send(self, verb: str, args: Mapping[str, Any], *, take: bool = False) -> Mapping[str, Any] | None:
        """Send an intent; None when it was refused (and why was said). Offers to take control where somebody else has it."""
        desk = self.desk
        if not desk.may_act():
            return None
        try:
            return asyncio.run(
                desk.engine.send(
                    self.info, verb, args, state=desk.state, take_control=take, front=terminal_name(), env=desk.env
                )
            )
        except StepFlowError as error:
            if take or not (isinstance(error, Held) or error.code == "control_held"):
                desk.tell(error)
                return None
            diagnostics.say(known(error.message))
        return self.send(verb, args, take=True) if ask.yes(_("Take control of this run?")) else None


def terminal_name() -> str:
    """The terminal of this session: two sessions of one person are two holders of control."""
    try:
        return os.ttyname(0).removeprefix("/dev/")
    except OSError:
        return f"pid {os.getpid()}"
