"""`pragmas`: what the application's connections should set, as a table, a snippet or a probe; and whether they do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, commands, session_of
from stepflow_tui.cli.session import Session

app = commands()

_KEPT, _READ = 1 << 20, 64 << 20
"""Bytes of a probe's output that are kept, its line stands at the end; and after which nothing more is read."""


@app.command("pragmas")
def pragmas(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            help="The config file; without one, stepflow.yaml or the shipped profile.",
            show_default=False,
        ),
    ] = None,
    stack: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="STACK",
            help="Print the snippet: python, aiosqlite, sqlalchemy, prisma, django, go or node.",
        ),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Print the probe to run inside the application instead (Python without --for)."),
    ] = False,
    check: Annotated[
        str | None, typer.Option("--check", metavar="FILE", help="Judge what a probe printed; - reads standard input.")
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Run the config's wal.probe and judge what it prints.")] = False,
) -> int:
    """Show what every connection should set, and whether the application does; change nothing.

    Exit 0, or with --check and --ask 4 where a setting differs or is not told.
    """
    from stepflow_tui.cli.diagnostics import UsageError

    session = session_of(ctx)
    if sum((check is not None, ask, probe or stack is not None)) > 1:
        raise UsageError(
            "Say one thing: --check, --ask, or --for and --probe.", hint="`stepflow pragmas --help` tells them apart.", code="pragmas_what"
        )  # fmt: skip
    if check is not None or ask:
        return _judge(session, config, check)
    return _show(session, config, stack, probe=probe)


def _show(session: Session, config: Path | None, stack: str | None, *, probe: bool) -> int:
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.render.pragmas import profile_lines

    chosen = stack or ("python" if probe else None)
    found = asyncio.run(facade().pragmas(_loaded(config), stack=chosen))
    if session.globals.json:
        output.emit_object(_plain(found))
    elif chosen is not None:
        output.emit_raw(found["probe"] if probe else found["snippet"])
    else:
        for line in profile_lines(found):
            output.emit_text(line)
    return 0


def _judge(session: Session, config: Path | None, check: str | None) -> int:
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.render.pragmas import judged_lines

    api, loaded = facade(), _loaded(config, needed=check is None)
    found = asyncio.run(api.ask_pragmas(loaded) if check is None else api.judge_pragmas(loaded, _read(check)))
    if session.globals.json:
        output.emit_object(_plain(found))
    else:
        for line in judged_lines(found):
            output.emit_text(line)
    return int(found["exit_code"])


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    from stepflow_tui.render.findings import finding_json

    return {**found, "findings": [finding_json(f) for f in found["findings"]]}


def _loaded(config: Path | None, *, needed: bool = False) -> Any:
    """The config that is named, or the one that lies here; None without one.

    Raises:
        ConfigError: it can't be used, or is needed and not there.
    """
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap

    if config is None and not needed and not DEFAULT_CONFIG.exists():
        return None
    return facade().load_config(config or DEFAULT_CONFIG, os.environ, (check_keymap,))


def _read(name: str) -> str:
    """The end of a file, or of standard input.

    Raises:
        UsageError: `probe_unreadable`.
    """
    import sys

    from stepflow_tui.cli.diagnostics import UsageError

    try:
        if name == "-":
            return _end_of(sys.stdin.buffer)
        with Path(name).open("rb") as file:
            return _end_of(file)
    except OSError as error:
        raise UsageError(
            f"What the probe printed can't be read from {name}.",
            detail=error.strerror or str(error),
            hint="Name the file that holds its line, or - for standard input.",
            code="probe_unreadable",
        ) from None


def _end_of(stream: BinaryIO) -> str:
    kept, total = b"", 0
    while total < _READ and (data := stream.read(_KEPT)):
        kept, total = (kept + data)[-_KEPT:], total + len(data)
    return kept.decode("utf-8", "replace")
