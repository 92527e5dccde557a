"""The join of a benchmark: a child table with its parent, along a foreign key of the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.model.schema import Generated, SourceForeignKey, SourceTable
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.bench_rows import key_of, listed, sampled_keys

JOIN_ROWS = 500
"""Rows of the child that one join reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A child table with its parent, along a foreign key. `shown`: a column of the parent that the join has to fetch."""

    child: SourceTable
    parent: SourceTable
    link: SourceForeignKey
    shown: str | None
    keys: tuple[tuple[Any, ...], ...]


def working_joins(conn: sqlite3.Connection, counted: Sequence[tuple[SourceTable, int]]) -> Iterator[Joined]:
    """Joins along foreign keys that work, the largest child first."""
    known = {t.name.lower(): t for t, _ in counted}
    for child, rows in counted:
        for link in child.foreign_keys:
            parent = known.get(link.ref_table.lower())
            if parent is None or not link.ref_columns:
                continue
            try:
                keys = sampled_keys(conn, child, rows)
                joined = Joined(child=child, parent=parent, link=link, shown=_shown(conn, parent), keys=keys)
                if keys and conn.execute(join_sql(joined), keys[0]).fetchone() is not None:
                    yield joined
            except (sqlite3.Error, UnicodeError):
                continue


def _shown(conn: sqlite3.Connection, parent: SourceTable) -> str | None:
    """A column beyond the parent's key, so that a join has to read the row; numbers and text only."""
    keys = {k.lower() for k in parent.primary_key}
    names = [c.name for c in parent.columns if c.generated is Generated.NO and c.name.lower() not in keys]
    for name in names:
        column = lite_ident(name)
        sample = f"select distinct typeof({column}) from (select {column} from {lite_ident(parent.name)} limit 1000)"
        if {k for (k,) in conn.execute(sample)} in ({"text"}, {"integer"}, {"real"}):
            return name
    return None


def join_sql(joined: Joined) -> str:
    """The rows of a child from one key on, with their parents, and which parents have most of them."""
    key = key_of(joined.child)
    on = " and ".join(
        f"p.{lite_ident(theirs)} = c.{lite_ident(ours)}"
        for ours, theirs in zip(joined.link.columns, joined.link.ref_columns, strict=True)
    )
    groups = ", ".join(f"p.{lite_ident(c)}" for c in joined.link.ref_columns)
    shown = f", max(p.{lite_ident(joined.shown)})" if joined.shown else ""
    return (
        f"select count(*){shown}, {groups} from (select {listed(joined.link.columns)} from {lite_ident(joined.child.name)}"
        f" where ({listed(key)}) >= ({', '.join('?' * len(key))}) order by {listed(key)} limit {JOIN_ROWS}) c"
        f" join {lite_ident(joined.parent.name)} p on {on} group by {groups} order by 1 desc limit 10"
    )
