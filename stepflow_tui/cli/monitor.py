"""`monitor`: a service that looks at the application and its database."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfigArgument, commands, session_of
from stepflow_tui.engine.texts.language import _

if TYPE_CHECKING:
    from stepflow_tui.cli.session import Session

app = commands()


@app.command("monitor")
def monitor(
    ctx: typer.Context,
    config: ConfigArgument = DEFAULT_CONFIG,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="Time between two looks; else `monitor.every`.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, then end.")] = False,
    lasting: Annotated[str | None, typer.Option("--for", metavar="TIME", help="How long to look.")] = None,
    unit: Annotated[bool, typer.Option("--unit", help="Print a systemd unit for it; nothing is installed.")] = False,
) -> int:
    """Watch health, latency, sizes, journal mode, logs, memory and disk; tell what breaks its limits.

    Exit 0 when it ends with nothing wrong, 4 while an alert stands, 130 by Ctrl-C, 143 by SIGTERM.
    """
    import asyncio
    import os

    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap

    session, api = session_of(ctx), facade()
    loaded = api.load_config(config, os.environ, (check_keymap,))
    if unit:
        return _tell_unit(session, api.monitor_unit(loaded, session.state_path, every))
    looks = api.monitor(loaded, session.state_path, every=every, lasting=lasting, once=once)
    return asyncio.run(_follow(session, looks))


async def _follow(session: Session, looks: AsyncGenerator[Mapping[str, Any], None]) -> int:
    """Show looks until they end or a signal comes."""
    import asyncio

    from stepflow_tui.engine.errors import ExitCode

    loop, came = asyncio.get_running_loop(), []
    watching = asyncio.create_task(_show(session, looks))

    def end(code: ExitCode) -> None:
        came.append(int(code))
        watching.cancel()

    loop.add_signal_handler(signal.SIGINT, end, ExitCode.INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, end, ExitCode.TERMINATED)
    try:
        return await watching
    except asyncio.CancelledError:
        if not came:
            raise
        return came[0]


async def _show(session: Session, looks: AsyncGenerator[Mapping[str, Any], None]) -> int:
    from contextlib import aclosing

    from stepflow_tui.cli import output
    from stepflow_tui.render.monitor import alert_lines, look_line

    code = 0
    async with aclosing(looks) as events:
        async for event in events:
            code = int(event.get("exit_code", code))
            if session.globals.json:
                output.emit_event(event)
                continue
            for line in [look_line(event)] if event["event"] == "look" else alert_lines(event):
                output.emit_text(line)
    return code


def _tell_unit(session: Session, found: Mapping[str, Any]) -> int:
    from stepflow_tui.cli import output

    if session.globals.json:
        output.emit_object(found)
        return 0
    output.emit_text("# " + found["file"])
    output.emit_block(found["service"])
    output.emit_text("# " + _("then: {command}").format(command=found["enable"]))
    if found["variables"]:
        output.emit_text(
            "# " + _("set there, for they are needed: {names}").format(names=", ".join(found["variables"]))
        )
    return 0
