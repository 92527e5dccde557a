"""A plan in sections, and the checks before it. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stepflow_tui.cli import output
from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.plain.desk import Desk, Next
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.config_wal import Wal
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.plan import Plan
from stepflow_tui.engine.texts.language import _
from stepflow_tui.keymap import check_keymap
from stepflow_tui.render.findings import findings_lines
from stepflow_tui.render.plan import plan_sections


def open_config(desk: Desk, config: Path) -> Next:
    """What can be done with a config: check, plan, start."""
    labels = (
        _("start the run, or go on with it: checks, backup and plan first, then it asks"),
        _("check the databases and what uses them; changes nothing"),
        _("show the plan; changes nothing"),
        _("start a new run, whatever earlier ones did"),
        _("go back"),
    )
    while True:
        number = ask.choose(_("{config}: what next?").format(config=config), labels)
        if number == 5:
            return Next.HOME
        if number in (1, 4):
            from stepflow_tui.cli.plain.runs import begin

            step = begin(desk, config, new=number == 4)
            if step is not Next.MENU:
                return step
        elif number == 2:
            check(desk, config)
        else:
            show_plan(desk, config)


def check(desk: Desk, config: Path) -> None:
    """The findings of the preflight checks."""
    try:
        loaded = desk.engine.load_config(config, desk.env, (check_keymap,))
    except StepFlowError as error:
        desk.tell(error)
        return
    say(_("checking"))
    result = desk.tried(desk.engine.check(loaded, state=desk.state))
    if result is not None:
        _show(findings_lines(result.findings))


def show_plan(desk: Desk, config: Path) -> None:
    """The plan as it would be made now."""
    try:
        loaded = desk.engine.load_config(config, desk.env, (check_keymap,))
    except StepFlowError as error:
        desk.tell(error)
        return
    say(_("reading the source and planning"))
    result = desk.tried(desk.engine.plan(loaded, state=desk.state))
    if result is None:
        return
    if result.plan is None:
        _show(findings_lines(result.findings))
        say(_("There is no plan before this is settled."))
        return
    sections(result.plan, result.findings, result.items, loaded.config.wal)


def sections(
    plan: Plan, findings: Sequence[Finding], items: Sequence[Mapping[str, Any]], wal: Wal | None = None
) -> None:
    """Show the sections that are asked for."""
    parts = plan_sections(plan, findings, items, wal)
    shown = {title: lines for title, lines in parts.items() if lines}
    say(_("Plan of {kind}, mode {mode}, hash {hash}").format(kind=plan.kind, mode=plan.mode, hash=plan.hash))
    while True:
        labels = [*shown, _("the whole plan"), _("go back")]
        number = ask.choose(_("Which section of the plan?"), labels, default=len(labels))
        if number == len(labels):
            return
        chosen = [*shown.values()] if number == len(labels) - 1 else [[*shown.values()][number - 1]]
        for lines in chosen:
            _show(lines)


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        output.emit_text(line)
