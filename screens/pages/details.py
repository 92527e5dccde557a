"""One checklist item with all that is known about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from screens.glyphs import Glyphs
from screens.pages.checklist import item_lines, owner_of
from screens.pages.lines import line
from screens.widgets.document import Line
from stepflow_tui.engine.model.checklist import ItemKind
from stepflow_tui.engine.plan.risks import CRITERIA, IN_PLACE_CRITERIA, IN_PLACE_RISKS, RISKS
from stepflow_tui.engine.texts import risks as texts
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words


def item_details(row: Mapping[str, Any], glyphs: Glyphs) -> Iterator[Line]:
    """State, who decides, when it is due, what it proves."""
    params = row.get("params") or {}
    yield from item_lines(row, glyphs, 0)
    manual = row["kind"] == ItemKind.MANUAL
    yield line(_("A person decides it.") if manual else _("A check decides it."))
    when = str(params.get("when") or row["phase"])
    yield line(words.when(when))
    if row["phase"]:
        yield line(_("due before {phase}").format(phase=words.phase(str(row["phase"]))))
    if owner_of(row):
        yield line(_("owner: {who}").format(who=owner_of(row)))
    if params.get("due"):
        yield line(_("due: {when}").format(when=params["due"]))
    proved = [
        _(texts.RISKS[r.id]) for r in {r.id: r for r in (*RISKS, *IN_PLACE_RISKS)}.values() if row["id"] in r.proofs
    ]
    proved += [
        _(texts.ACCEPTANCE[c.id])
        for c in {c.id: c for c in (*CRITERIA, *IN_PLACE_CRITERIA)}.values()
        if row["id"] in c.proofs
    ]
    if proved:
        yield line(_("It is the proof for: {what}").format(what="; ".join(proved)))
