"""The checklist: what was checked, ticked or accepted by whom, and what is open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import DIM, Page, blank, fits, heading, item_state, line, marked
from screens.pages.view import PlanView, Rows
from screens.widgets.document import Line
from stepflow_tui.engine.model.checklist import ItemKind
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.texts.checklist import item_title
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.render import words
from stepflow_tui.render.width import cells


class ChecklistPage(Page[PlanView]):
    """Items by time."""

    NAME: ClassVar[str] = N_("Checklist")
    HELP: ClassVar[str] = N_(
        "Items that checks decide and items that people settle. Space ticks the selected one and asks for a note; who ticked what"
        " when goes into the audit and the report. `accepted` means that nobody did it and --yes went past it."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """One block per time."""
        rows = [r for r in view.items if fits(needle, r["id"], title_of(r), r["state"], r["note"], owner_of(r))]
        yield from item_blocks(rows, glyphs)


def item_blocks(rows: Rows, glyphs: Glyphs) -> Iterator[Line]:
    """Checklist rows under the heading of their time."""
    whens = dict.fromkeys(str((r.get("params") or {}).get("when") or r["phase"]) for r in rows)
    width = max((cells(item_state(str(r["state"]), glyphs)[1]) for r in rows), default=0)
    for when in whens:
        own = [r for r in rows if str((r.get("params") or {}).get("when") or r["phase"]) == when]
        yield heading(f"{words.when(when)}  {_counted(own)}")
        for row in own:
            yield from item_lines(row, glyphs, width)
        yield blank()


def _counted(rows: Rows) -> str:
    """`12/25 ticked, 10 accepted unticked`: what nobody did is not counted as done."""
    ticked, accepted = (sum(r["state"] == state for r in rows) for state in (ItemState.TICKED, ItemState.ACCEPTED))
    text = _("{count}/{total} ticked").format(count=ticked, total=len(rows))
    return words.listed((text, _("{count} accepted unticked").format(count=accepted))) if accepted else text


def item_lines(row: Mapping[str, Any], glyphs: Glyphs, width: int) -> Iterator[Line]:
    """An item with its state, who is asked, and who settled it."""
    sign, word, style = item_state(str(row["state"]), glyphs)
    yield marked(sign, word, f"{title_of(row)} ({row['id']})", style, indent=1, width=width, key=str(row["id"]))
    about = "  ".join(_about(row))
    if about:
        yield line(about, DIM, indent=8)


def title_of(row: Mapping[str, Any]) -> str:
    """The config's own words, or ours."""
    own = (row.get("params") or {}).get("title")
    return str(own) if own else _(str(row.get("title") or item_title(str(row["id"]))))


def owner_of(row: Mapping[str, Any]) -> str:
    """Who is asked to settle it."""
    return str((row.get("params") or {}).get("owner") or "")


def _about(row: Mapping[str, Any]) -> Iterator[str]:
    if row["kind"] == ItemKind.MANUAL and row["state"] == ItemState.OPEN:
        owner = owner_of(row)
        yield _("{who} ticks it").format(who=owner) if owner else _("a person ticks it")
        if row["phase"]:
            yield _("due before {phase}").format(phase=words.phase(str(row["phase"])))
    elif row["kind"] != ItemKind.MANUAL and row["state"] == ItemState.OPEN:
        yield _("a check decides it")
    if row.get("by"):
        when = f" {_moment(int(row['at_ms']))}" if row.get("at_ms") else ""
        yield _("by {who}{when}").format(who=words.settled_by(str(row["by"])), when=when)
    if row.get("note"):
        yield _("note: {text}").format(text=known(str(row["note"])))


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
