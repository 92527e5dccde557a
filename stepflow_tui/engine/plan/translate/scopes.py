"""Names → values: which tables an expression sees, and what their columns are in the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.schema import Affinity, SourceColumn
from stepflow_tui.engine.model.types import EpochUnit, Kind
from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.plan.sqltext.nodes import Ref
from stepflow_tui.engine.plan.translate.values import NUMERIC_AFFINITY, Sort, Untranslatable, Value, constant

_ROWID = frozenset({"rowid", "_rowid_", "oid"})

_SORTS = {
    Kind.INTEGER: Sort.INT,
    Kind.BOOLEAN: Sort.BOOL,
    Kind.REAL: Sort.REAL,
    Kind.DECIMAL: Sort.DECIMAL,
    Kind.BLOB: Sort.BLOB,
    Kind.TIMESTAMP: Sort.TIMESTAMP,
    Kind.DATE: Sort.DATE,
    Kind.EPOCH: Sort.EPOCH,
    Kind.MIXED_TEXT: Sort.MIXED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as expressions see it: source and target name, and the value it stands for (`sql` is filled in by `at`)."""

    name: str
    target: str
    value: Value
    generated: bool = False

    def at(self, qualifier: str) -> Value:
        """The value under a table alias (quoted already), or bare."""
        sql = pg_ident(self.target)
        return replace(self.value, sql=f"{qualifier}.{sql}" if qualifier else sql)


def column_value(source: SourceColumn, planned: ColumnPlan, *, reals: bool = False) -> Value:
    """What a table's column is in expressions.

    Args:
        reals: a mixed column holds reals too, whose text the two databases write differently.
    """
    kind = planned.type.kind
    sort = _SORTS.get(kind, Sort.OPAQUE)
    if kind is Kind.TEXT and _plain_text(planned.type.sql):
        # numbers in text of a column with numeric affinity would have become numbers
        sort = Sort.MIXED if source.affinity in NUMERIC_AFFINITY else Sort.TEXT
    if kind in (Kind.TIMESTAMP, Kind.EPOCH) and planned.type.sql not in ("timestamp", "timestamp without time zone"):
        sort = Sort.OPAQUE
    if kind is Kind.EPOCH and planned.type.unit not in (EpochUnit.SECONDS, EpochUnit.MILLIS, EpochUnit.MICROS):
        sort = Sort.OPAQUE
    return Value(
        sql=pg_ident(planned.target),
        sort=sort,
        affinity=source.affinity,
        collation=source.collation,
        form=planned.type.form,
        unit=planned.type.unit,
        narrow=kind is Kind.INTEGER and planned.type.width < 8,
        renders=not reals,
    )


def _plain_text(sql: str) -> bool:
    return sql == "text" or sql.startswith(("varchar", "character varying"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table, view or subquery that an expression sees under `name`; `qualifier` is its quoted alias in the output."""

    name: str
    columns: tuple[Column, ...]
    qualifier: str = ""
    sql: str = ""  # the quoted name in the target
    rowid: str | None = None  # the column that is the rowid
    qualified_only: bool = False  # NEW and OLD

    def find(self, name: str) -> Column | None:
        """The column of that name, ASCII case folded; the rowid's names find its alias."""
        folded = name.lower()
        for column in self.columns:
            if column.name.lower() == folded:
                return column
        if folded in _ROWID and self.rowid is not None:
            return self.find(self.rowid)
        return None


@dataclass(slots=True, kw_only=True)
class Scope:
    """The relations of one SELECT or statement, with those around it.

    `aliases` are result columns, which SQLite lets other clauses name. `view` makes the value of a column (inlining).
    """

    relations: list[Relation] = field(default_factory=list)
    parent: Scope | None = None
    aliases: dict[str, Value] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)  # names of USING: found in several relations, taken from the first
    view: Callable[[Relation, Column], Value] | None = None

    def resolve(self, ref: Ref) -> Value:
        """The value of a name.

        Raises:
            Untranslatable: no such name, or more than one.
        """
        value = self.lookup(ref)
        if value is not None:
            return value
        if len(ref.parts) == 1:
            if ref.quote == '"':
                return constant(ref.name)  # SQLite takes an unknown "name" for a string
            if not ref.quote and ref.name.lower() in ("true", "false"):
                return constant(int(ref.name.lower() == "true"))
        raise Untranslatable(f"the name {'.'.join(ref.parts)}, which is unknown here")

    def lookup(self, ref: Ref) -> Value | None:
        """The value of a name here or around, None if there is none."""
        found = self._here(ref)
        if found is not None:
            return found
        if len(ref.parts) == 1 and ref.name.lower() in self.aliases:
            return self.aliases[ref.name.lower()]
        return self.parent.lookup(ref) if self.parent is not None else None

    def _here(self, ref: Ref) -> Value | None:
        table = ref.parts[-2].lower() if len(ref.parts) > 1 else None
        hits = []
        for relation in self.relations:
            if table is None and relation.qualified_only:
                continue
            if table is not None and relation.name.lower() != table:
                continue
            column = relation.find(ref.name)
            if column is not None:
                hits.append((relation, column))
        if len(hits) > 1 and ref.name.lower() not in self.merged:
            raise Untranslatable(f"the name {ref.name}, which is ambiguous")
        if not hits:
            return None
        relation, column = hits[0]
        return self.view(relation, column) if self.view is not None else column.at(relation.qualifier)


def numeric(affinity: Affinity | None) -> bool:
    """Whether this affinity turns text that looks like a number into one."""
    return affinity in NUMERIC_AFFINITY
