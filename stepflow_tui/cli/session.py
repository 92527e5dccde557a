"""What one call of the command line knows: its global options and where runs are kept. Loads no Typer."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Globals:
    """The options every command takes, before or after its name."""

    state_dir: Path | None = None
    plain: bool = False
    json: bool = False
    no_input: bool = False
    no_color: bool = False
    ascii: bool = False
    slow: bool = False
    no_mouse: bool = False
    lang: str | None = None
    read_only: bool = False


@dataclass(slots=True, kw_only=True)
class Session:
    """One call of the command line. `streams`: the command prints JSON Lines; `run`: the run it is about, once known;
    `ended`: its end was shown."""

    globals: Globals = field(default_factory=Globals)
    streams: bool = False
    run: str | None = None
    ended: bool = False

    @property
    def state_path(self) -> Path:
        """The state directory: the option, else XDG's."""
        if self.globals.state_dir is not None:
            return Path.cwd() / self.globals.state_dir
        base = os.environ.get("XDG_STATE_HOME")
        # the XDG rules: a relative path there is invalid and ignored
        root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "state"
        return root / "stepflow"

    @property
    def color(self) -> bool:
        """Whether colours may be used."""
        return not (self.globals.no_color or self.globals.plain or os.environ.get("NO_COLOR"))


FLAGS = ("--plain", "--json", "--no-input", "--no-color", "--ascii", "--slow", "--no-mouse", "--read-only")
"""Global options without a value."""
VALUED = ("--state-dir", "--lang")
"""Global options with one."""


def hoist(args: list[str]) -> list[str]:
    """The arguments with all global options first, so that they may stand anywhere before `--`."""
    front: list[str] = []
    rest: list[str] = []
    pending = iter(args)
    for arg in pending:
        if arg == "--":
            rest += [arg, *pending]
        elif arg in FLAGS or arg.startswith(tuple(f"{name}=" for name in VALUED)):
            front.append(arg)
        elif arg in VALUED:
            front += [arg, *(value for _, value in zip(range(1), pending, strict=False))]
        else:
            rest.append(arg)
    return front + rest
