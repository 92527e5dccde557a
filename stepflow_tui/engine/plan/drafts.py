"""Tables on their way into the plan: names and types are settled, expressions not yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from stepflow_tui.engine.model.census import Census
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.live import ROWID_COLUMN
from stepflow_tui.engine.model.plan import ColumnFacts, ColumnPlan, TableFacts
from stepflow_tui.engine.model.schema import Affinity, Generated, SourceColumn, SourceSchema, SourceTable, TableKind
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.declared import BIGINT, empty_type
from stepflow_tui.engine.plan.names import Namespace, chosen, column_names, fits, renamed
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.plan.translate.scopes import Column, Relation, column_value
from stepflow_tui.engine.plan.virtual import carried, rowid_source

MAX_COLUMNS = 1600
"""PostgreSQL's limit for a table."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """One table. `columns` are those of the target in order; `sources` the source's, by name."""

    source: SourceTable
    name: str
    columns: list[ColumnPlan]
    sources: dict[str, SourceColumn]
    facts: TableFacts
    rowid_column: str | None = None
    live_key: tuple[str, ...] = ()
    uncapturable: str | None = None
    impossible: str | None = None
    generated: dict[str, str] = field(default_factory=dict)  # source column → PostgreSQL expression
    defaults: dict[str, str] = field(default_factory=dict)
    plain_keys: set[frozenset[str]] = field(default_factory=set)  # columns that a foreign key may refer to

    def column(self, source: str) -> ColumnPlan:
        """The plan of a source column."""
        return next(c for c in self.columns if c.source == source)

    def fact(self, source: str) -> ColumnFacts:
        """What was counted in a column."""
        return self.facts.columns.get(source) or ColumnFacts()

    @property
    def label(self) -> str:
        """The table's source name."""
        return self.source.name

    def relation(self, schema: str) -> Relation:
        """The table as expressions see it."""
        columns = []
        for plan in self.columns:
            if plan.target == ROWID_COLUMN:
                continue  # gone when the run is over: no expression may name it
            source = self.sources[plan.source]
            value = column_value(source, plan, reals=bool(self.fact(plan.source).reals))
            columns.append(
                Column(
                    name=plan.source,
                    target=plan.target,
                    value=value,
                    generated=plan.source in self.generated,
                )
            )
        alias = self.source.rowid_alias or (rowid_source(self.source) if self.rowid_column else None)
        return Relation(name=self.label, columns=tuple(columns), sql=pg_name(schema, self.name), rowid=alias)


def make_drafts(schema: SourceSchema, census: Census, config: Config, relations: Namespace) -> list[Draft]:
    """All tables whose rows are the migration's business and that the config selects."""
    tables = [
        t for t in schema.tables if t.kind is not TableKind.SHADOW and chosen(t.name, config.tables) and carried(t)
    ]
    names = _names(tables, config, relations)
    return [_draft(t, names[t.name], census) for t in tables]


def _names(tables: list[SourceTable], config: Config, relations: Namespace) -> dict[str, str]:
    """Renamed tables first: what the operator wrote stands."""
    wanted = {t.name: renamed(t.name, config.tables.rename) for t in tables}
    ordered = sorted(tables, key=lambda t: (wanted[t.name] is None, not fits(t.name)))
    return {t.name: relations.take(wanted[t.name] or t.name, empty="unnamed") for t in ordered}


def _draft(table: SourceTable, name: str, census: Census) -> Draft:
    facts = census.facts.get(table.name) or TableFacts(rows=0)
    visible = [c for c in table.columns if c.generated is not Generated.HIDDEN]
    sources = {c.name: c for c in visible}
    rowid = rowid_source(table)
    if rowid is not None and rowid not in sources:
        sources = {
            rowid: SourceColumn(name=rowid, declared="INTEGER", affinity=Affinity.INTEGER, not_null=True),
            **sources,
        }
        facts = TableFacts(
            rows=facts.rows, columns={rowid: ColumnFacts(), **facts.columns}, bad_rowids=facts.bad_rowids
        )
    targets = column_names(sources)
    choices = census.types.get(table.name, {})
    columns = []
    for source in sources.values():
        type_, reason = choices.get(source.name) or (
            BIGINT if source.name == rowid else empty_type(source.declared),
            "",
        )
        columns.append(
            ColumnPlan(
                source=source.name, target=targets[source.name], declared=source.declared, type=type_, reason=reason
            )
        )
    impossible = _impossible(table, census, len(columns))
    return Draft(
        source=table,
        name=name,
        columns=columns,
        sources=sources,
        facts=facts,
        rowid_column=targets[rowid] if rowid is not None else None,
        impossible=impossible,
    )


def _impossible(table: SourceTable, census: Census, columns: int) -> str | None:
    if table.unreadable:
        return f"no row of it can be read: {table.unreadable}"
    if table.name not in census.types:
        found = next((f for f in census.findings if f.object == table.name and f.params.get("reason")), None)
        return f"no row of it can be read: {found.params['reason']}" if found else "the census could not read it"
    if columns > MAX_COLUMNS:
        return f"it has {columns} columns, and PostgreSQL allows {MAX_COLUMNS}"
    return None


def is_integer_alias(draft: Draft) -> bool:
    """Whether the rowid alias became an integer column (the config may ask for another type)."""
    alias = draft.source.rowid_alias
    return alias is not None and draft.column(alias).type.kind is Kind.INTEGER
