"""Tables with their rows on both sides, and the rows that differ: keys, both values, causes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stepflow_tui.cli import output
from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.plain.desk import Next, Place, terminal_name
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.differences import DiffRow, different, rejected, sides
from stepflow_tui.render.tables import Standing, TableRow, table_rows

PAGE = 20
"""Differences shown at once."""


def tables(place: Place) -> Next:
    """List tables, those that differ first; one of them opens its differing rows."""
    listed = table_rows(place.status)
    if not listed:
        say(_("The tables are known after the plan."))
        return Next.MENU
    shown = _filtered(place, listed)
    while True:
        labels = [_label(place, table) for table in shown]
        number = ask.choose(_("Which table's differences?"), [*labels, _("none: go back")], default=len(labels) + 1)
        if number > len(labels):
            return Next.MENU
        _differences(place, shown[number - 1].key)


def _filtered(place: Place, listed: Sequence[TableRow]) -> Sequence[TableRow]:
    off = [table for table in listed if table.standing is Standing.DIFFERS or _count(place, table)]
    labels = (
        _("all ({count})").format(count=len(listed)),
        _("those that differ ({count})").format(count=len(off)),
        _("those whose name holds a word"),
    )
    number = ask.choose(_("Which tables?"), labels)
    if number < len(labels):
        return (listed, off)[number - 1]
    word = ask.text(_("Word"))
    return [table for table in listed if table.holds(word)]


def _count(place: Place, table: TableRow) -> int:
    return sum(place.reader.difference_counts(table.key))


def _label(place: Place, table: TableRow) -> str:
    text = _("{table}: {source} rows in the source, {target} in the target, {state}").format(
        table=table.source, source=table.source_rows, target=table.target_rows, state=table.word
    )
    count = _count(place, table)
    return words.clauses((text, _("rows that differ: {count}").format(count=count))) if count else text


def _differences(place: Place, table: str) -> None:
    """A page at a time."""
    total = sum(place.reader.difference_counts(table))
    if not total:
        say(_("No row of this table differs."))
    shown = 0
    for page in _pages(place, table):
        _show(line for number, row in enumerate(page, 1) for line in _lines(number, row))
        shown += len(page)
        if not _looked_at(place, page, total - shown):
            return


def _pages(place: Place, table: str) -> Iterator[list[DiffRow]]:
    """Differing rows, then rejected ones."""
    for read, made in ((place.reader.discrepancies, different), (place.reader.rejects, rejected)):
        offset = 0
        while rows := read(PAGE, table=table, offset=offset):
            offset += len(rows)
            yield [made(row) for row in rows]


def _lines(number: int, row: DiffRow) -> Iterator[str]:
    column = _(", column {column}").format(column=row.column) if row.column else ""
    yield _("{number}. key {key}{column}: {verdict}").format(
        number=number, key=row.key, column=column, verdict=row.word
    )
    for name, value in zip((_("source"), _("target")), sides(row), strict=True):
        yield f"   {words.about(name, value)}"
    if row.cause:
        yield "   " + _("cause: {text}").format(text=known(row.cause))


def _looked_at(place: Place, page: Sequence[DiffRow], more: int) -> bool:
    """What to do after a page; True for the next one."""
    while True:
        labels = [_("go back"), _("show the next rows ({count} more)").format(count=more)][: 2 if more else 1]
        hidden = [row for row in page if row.hidden is not None]
        labels += [_("show the hidden value of {key}").format(key=row.key) for row in hidden]
        if len(labels) == 1:
            return False
        number = ask.choose(_("Rows that differ"), labels, default=2 if more else 1)
        first_hidden = 3 if more else 2
        if number < first_hidden:
            return number == 2
        _reveal(place, hidden[number - first_hidden])


def _reveal(place: Place, row: DiffRow) -> None:
    """The value on both sides, for whoever types the run's name; the audit keeps that it was asked for."""
    if not place.desk.may_act():
        return
    say(_("This shows the value of {place} on both sides.").format(place=clean_line(f"{row.table}.{row.hidden}")))
    say(_("The audit keeps that you asked. The value is written nowhere."))
    name = str(place.status["name"])
    if not ask.typed_name(name):
        return
    desk = place.desk
    work = desk.engine.reveal(
        place.info, row.table, row.raw_key, str(row.hidden), state=desk.state, confirm=name, front=terminal_name()
    )
    found = desk.tried(work)
    if found is None:
        return
    for side, value in ((_("source"), found.get("source")), (_("target"), found.get("target"))):
        output.emit_text(words.about(side, _("(no row)") if value is None else value))
    if found.get("problem"):
        output.emit_text(known(str(found["problem"])))


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        output.emit_text(clean_line(line))
