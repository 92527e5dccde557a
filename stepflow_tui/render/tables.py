"""Tables of a run as rows for people: what differs comes first, then what is under way, then the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.texts.language import N_, _, ngettext
from stepflow_tui.render.clean import clean_line

UNKNOWN = "-"


class Standing(IntEnum):
    """How a table stands; the smaller, the earlier it is listed."""

    DIFFERS = 0
    RUNNING = 1
    UNSURE = 2
    WRITTEN = 3
    WAITING = 4
    EQUAL = 5


_WORDS = {
    "pending": N_("pending"),
    "copying": N_("copying"),
    "copied": N_("copied"),
    "ready": N_("copied"),
    "verifying": N_("verifying"),
    "unfinished": N_("not finished"),
    "left_out": N_("left out"),
    "undone": N_("undone"),
    "equal": N_("equal"),
    "different": N_("differs"),
    "not_verified": N_("not verified"),
    "application_writes": N_("written to"),
    "unread": N_("not read"),
}
_STANDINGS = {
    "copying": Standing.RUNNING,
    "copied": Standing.RUNNING,
    "ready": Standing.RUNNING,
    "verifying": Standing.RUNNING,
    "left_out": Standing.DIFFERS,
    "equal": Standing.EQUAL,
    "different": Standing.DIFFERS,
    "not_verified": Standing.UNSURE,
    "application_writes": Standing.WRITTEN,
    "unread": Standing.UNSURE,
    "unfinished": Standing.UNSURE,
}
_COUNTED = ("copied", "ready", "verifying")
"""All rows that come are there: a difference in number is one, compared or not."""
ENDED = ("failed", "aborted", "incomplete", "completed", "rolled_back")
"""States of a run in which nobody copies or compares."""
LEVELS = (N_("basic"), N_("standard"), N_("detailed"), N_("comprehensive"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One table, every part ready to be shown; `key` is its name as the source writes it."""

    key: str
    source: str
    target: str
    source_rows: str
    target_rows: str
    diff: str
    checked: str
    word: str
    standing: Standing

    def holds(self, needle: str) -> bool:
        """Whether a name or the state holds the text, whatever its case."""
        wanted = needle.casefold()
        return any(wanted in part.casefold() for part in (self.source, self.target, self.word))


def table_rows(status: Mapping[str, Any]) -> list[TableRow]:
    """The tables of a status, differences first, else in their order."""
    ended = status.get("state") in ENDED
    tables = ((t, apart_from(status, t)) for t in status.get("tables") or ())
    return sorted((_row(t, ended=ended, apart=apart) for t, apart in tables), key=lambda r: r.standing)


def apart_from(told: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """What the verdict `equal` of a table that stays in its place leaves out: `application_writes`, `unread`, or ""."""
    if told.get("kind") not in IN_PLACE or table.get("verified") != "equal":
        return ""
    return str(table.get("apart_from") or "")


def written_to(told: Mapping[str, Any], table: Mapping[str, Any]) -> bool:
    """Whether the application wrote to it meanwhile: what is proved then is that the conversion wrote none of its rows."""
    return apart_from(told, table) == "application_writes"


def written_line(told: Mapping[str, Any]) -> str:
    """How many tables of a status or a report are such, "" for none."""
    count = sum(written_to(told, t) for t in told.get("tables") or ())
    text = ngettext(
        "{count} table was written to meanwhile: the conversion itself wrote none of its rows.",
        "{count} tables were written to meanwhile: the conversion itself wrote none of their rows.",
        count,
    )
    return text.format(count=f"{count:,}") if count else ""


def written_reason() -> str:
    """What is proved of such a table."""
    return _("its rows were not compared: the application works on; the conversion itself wrote none of them")


def _row(table: Mapping[str, Any], *, ended: bool, apart: str) -> TableRow:
    state = apart if apart and table["state"] == "verified" else _state(table)
    state = "unfinished" if ended and state in ("copying", "verifying") else state
    return TableRow(
        key=str(table["source"]),
        source=clean_line(str(table["source"])),
        target=clean_line(str(table["target"])),
        source_rows=_number(table.get("source_rows")),
        target_rows=_so_far(table),
        diff=_signed(table.get("diff")),
        checked=str(table.get("as_of") or UNKNOWN)[11:19] or UNKNOWN,
        word=_(_WORDS.get(state, state)),
        standing=_STANDINGS.get(state, Standing.WAITING),
    )


def _so_far(table: Mapping[str, Any]) -> str:
    """The target's rows; while they arrive, about how many are there."""
    done = table.get("done_rows")
    return _number(table.get("target_rows")) if done is None else f"~{done:,}"


def _state(table: Mapping[str, Any]) -> str:
    """The verdict where there is one, else how far the table is."""
    state = str(table["state"])
    if state == "verified":
        return str(table.get("verified") or state)
    if state == "copying" and "done_rows" in table and table["done_rows"] is None and table.get("target_rows") is None:
        return "pending"  # the step has begun, this table has not
    return "different" if state in _COUNTED and table.get("diff") else state


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _signed(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:+,}" if value else "0"


def tables_summary(rows: Sequence[TableRow], level: str | None) -> list[str]:
    """`4 tables`, `1 differs`, `level detailed`."""
    differ = sum(r.standing is Standing.DIFFERS for r in rows)
    written = sum(r.standing is Standing.WRITTEN for r in rows)
    compared = any(r.standing in (Standing.DIFFERS, Standing.WRITTEN, Standing.EQUAL) for r in rows)
    parts = [
        ngettext("{count} table", "{count} tables", len(rows)).format(count=f"{len(rows):,}"),
        ngettext("{count} differs", "{count} differ", differ).format(count=f"{differ:,}")
        if compared
        else _("not compared yet"),
    ]
    if written:
        parts.append(ngettext("{count} written to", "{count} written to", written).format(count=f"{written:,}"))
    if level:
        parts.append(_("level {level}").format(level=_(level)))
    return parts


def key_text(key: Mapping[str, Any] | None) -> str:
    """A row's key on one line: `id=7, part='a'`."""
    return ", ".join(f"{clean_line(str(name))}={value_text(value)}" for name, value in (key or {}).items())


def value_text(value: object) -> str:
    """A value of a key: bytes as hex, texts as they are."""
    if isinstance(value, Mapping) and set(value) == {"$hex"}:
        return f"x'{value['$hex']}'"
    return "NULL" if value is None else clean_line(str(value))
