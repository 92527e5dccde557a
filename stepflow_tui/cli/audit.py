"""`audit show|verify`."""

from __future__ import annotations

import typer

from stepflow_tui.cli.options import RunArgument, commands, session_of

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
        output.emit_table(("n", "time", "who", "host", "act", "data"), [_row(e, iso_utc(e["at_ms"])) for e in entries])
    return 0


def _row(entry: object, at: str) -> tuple[object, ...]:
    assert isinstance(entry, dict)
    return (entry["n"], at, entry["who"], entry["host"], entry["act"], entry["data"])


@app.command("verify")
def verify(ctx: typer.Context, run: RunArgument = None) -> int:
    """Check that no entry was changed, removed or made anew; exit 0 or 5."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    engine = facade()
    verdict = engine.verify_audit(session.state_path, engine.resolve_run(session.state_path, run))
    if session.globals.json:
        output.emit_object(verdict)
    else:
        at = f" at entry {verdict['at']}" if verdict.get("at") is not None else ""
        output.emit_text(f"{verdict['state']}{at}: {verdict['entries']} entries, head {verdict['head']}")
    return 0 if verdict["state"] == "whole" else 5
