"""`doctor`: what this machine offers, what is wrong, and a support bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stepflow_tui.cli.options import commands, session_of
from stepflow_tui.engine.texts.language import N_, _, known

app = commands()

WIDTH = 80
_SEVERITIES = {"blocking": N_("PROBLEM"), "warning": N_("warning"), "info": N_("note")}


@app.command("doctor")
def doctor(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG", help="Look at its database and application, too.", show_default=False),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE.tar.gz", help="Write a support bundle without secrets and rows."),
    ] = None,
) -> int:
    """Show what this machine offers, and explain what is wrong with database, application and runs.

    Changes nothing. Exit 0 when nothing is wrong, 4 where something is missing or a problem was found.
    """
    import asyncio
    import os

    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap

    session, api = session_of(ctx), facade()
    if bundle is not None:
        api.bundle_place(bundle.absolute())
    loaded = api.load_config(config, os.environ, (check_keymap,)) if config is not None else None
    found = dict(asyncio.run(api.doctor(session.state_path, loaded)))
    if bundle is not None:
        found["bundle"] = asyncio.run(api.support_bundle(session.state_path, bundle.absolute(), found, loaded))
    if session.globals.json:
        output.emit_object(found)
    else:
        for line in _lines(found):
            output.emit_text(line)
    wrong = any(check["state"] == "missing" for check in found["checks"])
    return 4 if wrong or any(problem["severity"] != "info" for problem in found["problems"]) else 0


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    from stepflow_tui.render import words
    from stepflow_tui.render.clean import clean_line
    from stepflow_tui.render.width import pad, wrap

    for check in found["checks"]:
        yield f"{pad(words.term(check['state']), 8)}  {words.about(_(check['name']), known(check['found']))}"
        if check.get("fix"):
            yield "          " + _("fix: {text}").format(text=known(check["fix"]))
    yield ""
    for look in found["looked"]:
        sign = _("looked") if look["looked"] else _("NOT LOOKED")
        first, *rest = wrap(clean_line(words.about(_(look["name"]), look["about"])), WIDTH - 12)
        yield f"{pad(sign, 10)}  {first}"
        yield from (" " * 12 + line for line in rest)
    if not found["problems"]:
        yield _("Nothing wrong was found in what was looked at.")
    for problem in found["problems"]:
        yield ""
        yield from _problem(problem)
    yield from [""] if found["runs"] else []
    for run in found["runs"]:
        yield _("run {run}: {state}").format(run=run["id"], state=words.term(run["state"] or "unknown"))
    if found.get("bundle"):
        yield ""
        yield _("wrote {file} ({size}): look through it before you send it").format(
            file=found["bundle"]["file"], size=words.size(found["bundle"]["bytes"])
        )


def _problem(problem: Mapping[str, Any]) -> Iterator[str]:
    from stepflow_tui.render.clean import clean_line
    from stepflow_tui.render.width import wrap

    sign = _(_SEVERITIES[problem["severity"]])
    yield from wrap(clean_line(f"{sign} {problem['code']}: {problem['what']}"), WIDTH)
    parts = (
        (_("why: {text}"), problem["why"]),
        (_("fix: {text}"), problem["fix"]),
        (_("check: {text}"), problem["check"]),
        *((_("seen: {text}"), line) for line in problem["evidence"]),
    )
    for form, text in parts:
        first, *rest = wrap(clean_line(form.format(text=text)), WIDTH - 4)
        yield "  " + first
        yield from ("    " + line for line in rest)
