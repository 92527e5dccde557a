"""`alerts list|ack|stats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from stepflow_tui.cli.options import ConfirmOption, NeededRun, RunArgument, YesOption, commands, session_of
from stepflow_tui.engine.texts.language import N_, _

app = commands("Look at alerts and acknowledge them.")

HEAD = (N_("alert"), N_("severity"), N_("since"), N_("count"), N_("state"))


@app.command("list")
def list_(ctx: typer.Context, run: RunArgument = None) -> int:
    """List a run's alerts."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.render import words

    session = session_of(ctx)
    engine = facade()
    found = engine.alerts(engine.resolve_run(session.state_path, run))
    if session.globals.json:
        output.emit_object({"alerts": list(found)})
    elif found:
        rows = [(a["code"], words.term(a["severity"]), a["since"], a["count"], _state(a)) for a in found]
        output.emit_table([_(h) for h in HEAD], rows)
    else:
        output.emit_text(_("no alerts"))
    return 0


def _state(alert: Mapping[str, Any]) -> str:
    if alert["cleared"]:
        return _("resolved")
    return _("acknowledged by {who}").format(who=alert["acknowledged"]) if alert["acknowledged"] else _("open")


@app.command("ack")
def ack(
    ctx: typer.Context,
    run: NeededRun,
    code: Annotated[str, typer.Argument(metavar="ALERT", help="The alert's code.", show_default=False)],
    note: Annotated[str, typer.Option("--note", help="Why it is known.")] = "",
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Acknowledge an alert."""
    from stepflow_tui.cli.steer import found, send_intent

    session, engine, info = found(ctx, run)
    return send_intent(session, engine, info, "ack", {"code": code, "note": note})


@app.command("stats")
def stats(ctx: typer.Context, run: RunArgument = None) -> int:
    """Count a run's alerts by code."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    engine = facade()
    alerts = engine.alerts(engine.resolve_run(session.state_path, run))
    counts: Counter[str] = Counter()
    for alert in alerts:
        counts[str(alert["code"])] += int(alert["count"])
    still = Counter(str(a["code"]) for a in alerts if not a["cleared"])
    if session.globals.json:
        output.emit_object({"alerts": [{"code": c, "count": n, "open": still[c]} for c, n in counts.most_common()]})
    elif counts:
        output.emit_table((_("alert"), _("count"), _("open")), [(c, n, still[c]) for c, n in counts.most_common()])
    else:
        output.emit_text(_("no alerts"))
    return 0
