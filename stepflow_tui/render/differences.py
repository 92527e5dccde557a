"""One difference or rejected row for people: key, column, class, both values, cause, repair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.model.discrepancy import SET_ASIDE
from stepflow_tui.engine.model.sensitive import is_fingerprint
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.render.clean import clean, clean_line
from stepflow_tui.render.tables import key_text

CLASSES = {
    "missing": N_("missing"),
    "extra": N_("extra"),
    "changed": N_("changed"),
    "type": N_("type"),
    "precision": N_("precision"),
    "encoding": N_("encoding"),
    "order": N_("order"),
    "sequence": N_("sequence"),
    "rejected": N_("rejected"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffRow:
    """One differing or rejected row; texts may have several lines and any characters.

    Args:
        raw_key: the key as the journal has it.
        source, target: None where that side has no such row.
        sql: what would repair it, "" when nothing would.
    """

    table: str
    raw_key: Mapping[str, Any]
    column: str | None
    cls: str
    source: str | None
    target: str | None
    cause: str
    sql: str = ""
    file: str = ""

    @property
    def key(self) -> str:
        """The key on one line."""
        return key_text(self.raw_key)

    @property
    def word(self) -> str:
        """The class as a word."""
        return _(CLASSES.get(self.cls, self.cls))

    @property
    def hidden(self) -> str | None:
        """The column whose value is shown as a fingerprint only, None when nothing is hidden."""
        if self.column is not None and (is_fingerprint(self.source) or is_fingerprint(self.target)):
            return self.column
        return next((name for name, value in self.raw_key.items() if is_fingerprint(value)), None)


def different(row: Mapping[str, Any]) -> DiffRow:
    """A discrepancy of the journal."""
    return DiffRow(
        table=row["tbl"],
        raw_key=row["key"],
        column=row["col"],
        cls=row["class"],
        source=row["source"],
        target=row["target"],
        cause=row["cause"],
        sql=row["repair_sql"],
    )


def rejected(row: Mapping[str, Any]) -> DiffRow:
    """A rejected row of the journal; its value stays in the file."""
    return DiffRow(
        table=row["tbl"],
        raw_key=row["key"],
        column=row["col"],
        cls="rejected",
        source=None,
        target=None,
        cause=row["reason"],
        file=row["file"],
    )


def sides(row: DiffRow) -> tuple[str, str]:
    """Both values, or why there is none."""
    if row.file == SET_ASIDE:
        return _("(in the source)"), _("(set aside)")
    if row.cls == "rejected":
        return _("(in a file)"), _("(not carried)")
    absent = _("(no row)")
    return (absent if row.source is None else row.source), (absent if row.target is None else row.target)


def whole(row: DiffRow) -> Iterator[str]:
    """Everything about it, both values in full."""
    yield _("table: {text}").format(text=clean_line(row.table))
    yield _("key: {text}").format(text=row.key)
    if row.column is not None:
        yield _("column: {text}").format(text=clean_line(row.column))
    yield _("class: {text}").format(text=row.word)
    if row.cause:
        yield _("cause: {text}").format(text=clean_line(known(row.cause)))
    if row.file == SET_ASIDE:
        yield _("The row is set aside: corrected in the source, it is tried again.")
    elif row.file:
        yield _("The rejected row is in {file}").format(file=clean_line(row.file))
    for name, value in zip((_("source"), _("target")), sides(row), strict=True):
        yield ""
        yield f"{name}:"
        yield from clean(value).split("\n")
    if row.sql:
        yield ""
        yield _("repair:")
        yield from clean(row.sql).split("\n")
