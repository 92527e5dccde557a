"""`keys`: what can be done in the wizard, by which keys, and which command does the same; what the terminal sends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stepflow_tui.cli.options import commands, session_of
from stepflow_tui.engine.texts.language import _

app = commands()

KEYS_WIDTH, NAMES_WIDTH, TEXT_WIDTH = 17, 17, 61
"""Columns of the table."""


@app.command("keys")
def keys(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="F", help="With the keys that a config's `keymap` gives.", show_default=False),
    ] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="Show what the terminal sends for each key pressed, until q.")
    ] = False,
) -> int:
    """Show the wizard's keys, or what the terminal sends."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap

    if listen:
        return _listen(session_of(ctx).globals.json)
    keymap: Mapping[str, str] = {}
    if config is not None:
        keymap = facade().load_config(config, os.environ, (check_keymap,)).config.keymap
    if session_of(ctx).globals.json:
        output.emit_object({"actions": _objects(keymap)})
    else:
        for line in _lines(keymap):
            output.emit_text(line)
    return 0


def _objects(keymap: Mapping[str, str]) -> list[dict[str, Any]]:
    """Always English: programs read it."""
    from stepflow_tui.actions import ACTIONS
    from stepflow_tui.keymap import keys_of

    return [
        {
            "id": action.id,
            "keys": list(keys_of(action, keymap)),
            "label": action.label,
            "help": action.help,
            "screens": [scope.value for scope in action.scopes],
            "command": f"stepflow {action.cli}" if action.cli else None,
            "only": action.only or None,
            "acts": action.acts,
        }
        for action in ACTIONS
    ]


def _lines(keymap: Mapping[str, str]) -> Iterator[str]:
    """Two or three lines for an action, none wider than 80 cells."""
    from stepflow_tui.actions import ACTIONS
    from stepflow_tui.keymap import key_label, keys_of
    from stepflow_tui.render import words
    from stepflow_tui.render.width import pad, wrap

    for action in ACTIONS:
        keys_ = " ".join(key_label(key) for key in keys_of(action, keymap))
        screens = ", ".join(words.phrase(scope.value) for scope in action.scopes)
        command = f"stepflow {action.cli}" if action.cli else ""
        yield f"{pad(keys_, KEYS_WIDTH)} {pad(action.id, NAMES_WIDTH)} {command}".rstrip()
        text = " ".join((_(action.help), _(action.only), f"({screens})")).replace("  ", " ")
        yield from (" " * (KEYS_WIDTH + 1) + line for line in wrap(text, TEXT_WIDTH))


def _listen(as_json: bool) -> int:
    """Read keys in raw mode and name what arrives; the terminal is put back whatever happens."""
    import sys
    import termios
    import tty

    from stepflow_tui.cli import diagnostics

    if not sys.stdin.isatty():
        raise diagnostics.UsageError(
            "There is no terminal to listen to.",
            hint="Run it in the terminal whose keys are in question.",
            code="no_tty",
        )
    diagnostics.say(_("Press keys; what the terminal sends is shown. q ends it."))
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        # output stays cooked, so that lines begin at the left
        tty.setcbreak(handle)
        mode = termios.tcgetattr(handle)
        mode[0] &= ~(termios.IXON | termios.ICRNL)
        mode[3] &= ~termios.ISIG
        termios.tcsetattr(handle, termios.TCSANOW, mode)
        while sent := os.read(handle, 64):
            _show(sent, as_json=as_json)
            if sent == b"q":
                break
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
    return 0


def _show(sent: bytes, *, as_json: bool) -> None:
    from stepflow_tui.cli import output
    from stepflow_tui.cli.key_names import name_of

    name = name_of(sent)
    if as_json:
        output.emit_object({"bytes": sent.hex(" "), "key": name})
        return
    output.emit_text(f"{sent.hex(' '):24}  {name or _('unknown: this terminal sends something else than most do')}")
