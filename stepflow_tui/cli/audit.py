"""`audit show|verify`."""

from __future__ import annotations

import typer

from stepflow_tui.cli.options import RunArgument, commands, session_of
from stepflow_tui.engine.texts.language import _

app = commands("Who did what, and whether the record is whole.")


@app.command("show")
def show(ctx: typer.Context, run: RunArgument = None) -> int:
    """Show a run's audit entries."""
    from stepflow_tui.cli import output
    from stepflow_tui.engine.model.times import iso_utc
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    engine = facade()
    entries = engine.audit(engine.resolve_run(session.state_path, run))
    if session.globals.json:
        output.emit_object({"entries": list(entries)})
    else:
        head = (_("n"), _("time"), _("who"), _("host"), _("act"), _("data"))
        output.emit_table(head, [_row(e, iso_utc(e["at_ms"])) for e in entries])
    return 0


def _row(entry: object, at: str) -> tuple[object, ...]:
    assert isinstance(entry, dict)
    return (entry["n"], at, entry["who"], entry["host"], entry["act"], entry["data"])


@app.command("verify")
def verify(ctx: typer.Context, run: RunArgument = None) -> int:
    """Check that no entry was changed, removed or made anew; exit 0 or 5."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.render import words

    session = session_of(ctx)
    engine = facade()
    verdict = engine.verify_audit(session.state_path, engine.resolve_run(session.state_path, run))
    if session.globals.json:
        output.emit_object(verdict)
    else:
        at = verdict.get("at")
        text = (
            _("{state}: {count} entries, head {head}")
            if at is None
            else _("{state} at entry {at}: {count} entries, head {head}")
        )
        state = words.term(verdict["state"])
        output.emit_text(text.format(state=state, at=at, count=verdict["entries"], head=verdict["head"]))
    return 0 if verdict["state"] == "whole" else 5
