"""Ticking a checklist item: a person says that it is done, and how they know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from screens.modals.note import AskNote
from stepflow_tui.engine.texts.language import _
from stepflow_tui.engine.texts.running import PHASES
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line


class TickDialog(AskNote):
    """The note that ticks an item, or None.

    Args:
        item: `id` and `phase`, and `title` where the config gives one.
    """

    def __init__(self, item: Mapping[str, Any]) -> None:
        lines = [clean_line(_(str(item.get("title") or words.spaced(str(item["id"])))))]
        if item.get("phase") in PHASES:
            lines.append(_("Due before: {phase}").format(phase=_(PHASES.get(str(item["phase"]), ""))))
        super().__init__(_("Tick this item?"), lines, _("Tick"))
