"""`backups list|verify|restore|make|schedule`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stepflow_tui.cli.options import (
    DEFAULT_CONFIG,
    ConfigArgument,
    ConfirmOption,
    RunArgument,
    YesOption,
    commands,
    session_of,
)
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import _, known

app = commands("Look after the tested backups.")

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A backup's file, or an archive.", show_default=False)
]


@app.command("list")
def list_(ctx: typer.Context, run: RunArgument = None) -> int:
    """List backups, newest first."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    engine = facade()
    info = engine.resolve_run(session.state_path, run) if run else None
    found = engine.backups(session.state_path, info)
    if session.globals.json:
        output.emit_object({"backups": list(found)})
    elif found:
        heads = (_("file"), _("size"), _("state"), _("made"), _("run or set"), _("files"))
        output.emit_table(heads, [_row(b) for b in found])
    else:
        output.emit_text(_("no backups"))
    return 0


def _row(found: Mapping[str, Any]) -> tuple[str, ...]:
    from stepflow_tui.render import words

    files = _("none")
    if found["archive"]:
        files = _("{count} in {size}").format(count=found["files"], size=words.size(found["archive_bytes"]))
    return (
        found["path"],
        words.size(found["bytes"]),
        _("tested") if found["verified"] else _("NOT TESTED"),
        found["made_at"],
        found["set"],
        files,
    )


@app.command("verify")
def verify(ctx: typer.Context, file: FileArgument) -> int:
    """Read a backup again and test it."""
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    result = asyncio.run(facade().verify_backup(file.absolute()))
    if session.globals.json:
        output.emit_object(result)
    else:
        text = _("sound: {file} ({proof})") if result["verified"] else _("NOT SOUND: {file} ({proof})")
        output.emit_text(text.format(file=file, proof=known(result.get("reason") or result["sha256"])))
    return 0 if result["verified"] else 4


@app.command("restore")
def restore(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The backup's file, with --to.", show_default=False)
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="The database file to put back.", show_default=False)
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="With --everything: the run whose backups are put back.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Database, folders and config files, as one set.")
    ] = False,
    set_: Annotated[
        str | None, typer.Option("--set", metavar="SET", help="The same, for a set that `backups make` made.")
    ] = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Put a backup in place; what is there is moved aside as one set."""
    from stepflow_tui.cli import guard
    from stepflow_tui.cli.diagnostics import UsageError

    session = session_of(ctx)
    guard.acting(session)
    named = set_ or (run if everything else None)
    alone = file is not None and to is not None
    if alone == (named is not None) or (set_ and run):
        raise UsageError(
            "Say what is put back: one file, or everything of a run or set.",
            hint="`backups restore FILE --to FILE`, `backups restore --run RUN --everything`, or `backups restore --set SET`.",
            code="restore_what",
        )
    if named is not None:
        return _restore_set(session, named, run=set_ is None, yes=yes, confirm=confirm)
    assert file is not None
    assert to is not None
    return _restore_file(session, file, to, yes=yes)


def _restore_file(session: Session, file: Path, to: Path, *, yes: bool) -> int:
    import asyncio

    from stepflow_tui.cli import guard, output
    from stepflow_tui.facade import facade

    guard.plain_confirmation(session, what=f"Replace {to} by {file}? What is there is moved aside.", yes=yes)
    result = asyncio.run(facade().restore_backup(file.absolute(), to.absolute()))
    if session.globals.json:
        output.emit_object(result)
    else:
        output.emit_text(_("restored {file}").format(file=result["target"]))
        _tell_aside(result)
    return 0


def _restore_set(session: Session, named: str, *, run: bool, yes: bool, confirm: str | None) -> int:
    import asyncio

    from stepflow_tui.cli import guard, output
    from stepflow_tui.facade import facade

    api = facade()
    about = api.about_set(session.state_path, named, run=run)
    places = ", ".join((about["target"], *about["places"]))
    guard.typed_confirmation(
        session,
        what=f"Put back {about['set']}: {places}? What is there is moved aside.",
        name=about["name"],
        production=about["production"],
        yes=yes,
        confirm=confirm,
    )
    result = asyncio.run(api.restore_everything(session.state_path, about["set"]))
    if session.globals.json:
        output.emit_object(result)
        return 0
    if result["finished"]:
        output.emit_text(_("an earlier restore of this set had been killed on its way; it was finished"))
    for name in (result["target"], *result["places"]):
        output.emit_text(_("restored {file}").format(file=name))
    output.emit_text(_("{count} files read again, as the manifest says").format(count=result["files"]))
    _tell_aside(result)
    return 0


def _tell_aside(result: Mapping[str, Any]) -> None:
    from stepflow_tui.cli import output

    for name in result.get("aside") or ():
        output.emit_text("  " + _("before: {file}").format(file=name))
    for name in result.get("strangers") or ():
        output.emit_text("  " + _("made meanwhile: {file}").format(file=name))


@app.command("make")
def make(
    ctx: typer.Context, config: ConfigArgument = DEFAULT_CONFIG, yes: YesOption = False, confirm: ConfirmOption = None
) -> int:
    """Back up the database and the application's files now, outside a run, and test both."""
    import asyncio

    from stepflow_tui.cli import guard, output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap

    session = session_of(ctx)
    guard.acting(session)
    api = facade()
    loaded = api.load_config(config, os.environ, (check_keymap,))
    made = asyncio.run(api.make_set(loaded, session.state_path))
    if session.globals.json:
        output.emit_object(made)
    else:
        output.emit_text(_("backed up {file}, tested").format(file=made["path"]))
        output.emit_text(
            _("archived {count} files in {file}, read again").format(count=made["files"], file=made["archive"])
        )
        for note in made["notes"]:
            output.emit_text("  " + note)
        for old in made["removed"]:
            output.emit_text(_("removed {file}: beyond backup.keep").format(file=old))
    return 0 if made["complete"] else 4


@app.command("schedule")
def schedule(
    ctx: typer.Context,
    config: ConfigArgument = DEFAULT_CONFIG,
    every: Annotated[
        str, typer.Option("--every", metavar="TIME", help="Time between backups: 30m, 6h, 1d, 7d.")
    ] = "1d",
) -> int:
    """Print a systemd timer and a line for cron that make backups regularly; nothing is installed."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap

    session = session_of(ctx)
    api = facade()
    loaded = api.load_config(config, os.environ, (check_keymap,))
    found = api.schedule(loaded, session.state_path, every)
    if session.globals.json:
        output.emit_object(found)
        return 0
    for unit in ("service", "timer"):
        output.emit_text("# " + found["files"][unit])
        output.emit_block(found[unit])
    output.emit_text("# " + _("then: {command}").format(command=found["enable"]))
    output.emit_text("")
    output.emit_text("# " + _("or, in a crontab:"))
    output.emit_text(found["cron"] or "# " + _("cron can't say “every {time}”").format(time=every))
    if found["variables"]:
        output.emit_text(
            "# " + _("set there, for they are needed: {names}").format(names=", ".join(found["variables"]))
        )
    return 0
