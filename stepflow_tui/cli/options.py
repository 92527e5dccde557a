"""Options that commands share, and what a command knows about its call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from stepflow_tui.cli.help import Group
from stepflow_tui.cli.session import Session


def session_of(ctx: typer.Context) -> Session:
    """The session of this call."""
    return cast(Session, ctx.obj)


def commands(words: str | None = None) -> typer.Typer:
    """An empty set of commands, in the one plain style."""
    return typer.Typer(
        cls=Group, help=words, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
    )


def _yes_asks_nothing(ctx: typer.Context, yes: bool) -> bool:
    if yes:
        session = session_of(ctx)
        session.globals = replace(session.globals, no_input=True)
    return yes


ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="The config file.", show_default=True)]
RunArgument = Annotated[
    str | None, typer.Argument(metavar="RUN", help="Run id, unique prefix, or name.", show_default=False)
]
NeededRun = Annotated[str, typer.Argument(metavar="RUN", help="Run id, unique prefix, or name.", show_default=False)]
YesOption = Annotated[
    bool,
    typer.Option(
        "--yes", help="Answer what may be answered without a person; implies --no-input.", callback=_yes_asks_nothing
    ),
]
ConfirmOption = Annotated[
    str | None, typer.Option("--confirm", metavar="NAME", help="The run's name, as typed confirmation.")
]
TakeControl = Annotated[bool, typer.Option("--take-control", help="Take control from the front end that holds it.")]

DEFAULT_CONFIG = Path("stepflow.yaml")
