"""Generated columns: STORED where the expression keeps its meaning, else plain columns with their values."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.model.plan import ObjectType
from stepflow_tui.engine.model.schema import Generated, SourceColumn
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.sqltext.expressions import parse_expression
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.plan.translate.expressions import Context, translate
from stepflow_tui.engine.plan.translate.scopes import Column, Relation, Scope
from stepflow_tui.engine.plan.translate.storing import stored
from stepflow_tui.engine.plan.translate.values import Untranslatable, Value

_VIRTUAL = "VIRTUAL in SQLite: PostgreSQL stores it"
_PLAIN = "its values are carried as a plain column: "


def add_generated(draft: Draft, parts: Parts, *, utf16: bool) -> None:
    """Decide every generated column of a table; `draft.generated` gets the expressions."""
    for source in draft.sources.values():
        if source.generated not in (Generated.VIRTUAL, Generated.STORED):
            continue
        name = f"{draft.label}.{source.name}"
        written = source.expression or ""
        try:
            draft.generated[source.name] = _Expander(draft, parts, utf16).expression(source)
        except (Untranslatable, SqlTextError, RecursionError) as exc:
            parts.object(
                ObjectType.GENERATED_COLUMN, name, draft.label, carried=False, reason=_PLAIN + str(exc), sql=written
            )
        else:
            reason = _VIRTUAL if source.generated is Generated.VIRTUAL else ""
            parts.object(ObjectType.GENERATED_COLUMN, name, draft.label, carried=True, reason=reason, sql=written)


class _Expander:
    """Translates generated columns; one that names another gets its expression, as PostgreSQL can't refer to it."""

    def __init__(self, draft: Draft, parts: Parts, utf16: bool) -> None:
        self._draft, self._parts, self._utf16 = draft, parts, utf16
        self._relation = draft.relation(parts.schema)
        self._open: list[str] = []

    def expression(self, source: SourceColumn) -> str:
        if source.expression is None:
            raise Untranslatable("its expression can't be read")
        if self._draft.fact(source.name).violations:
            raise Untranslatable("some values don't fit its type")
        if source.name in self._open:
            raise Untranslatable("it refers to itself")
        self._open.append(source.name)
        try:
            scope = Scope(relations=[self._relation], view=self._view)
            context = Context(
                scope=scope, utf16=self._utf16, helper_schema=self._parts.schema, helpers=self._parts.helpers
            )
            value = translate(parse_expression(source.expression), context)
            sql = stored(value, source, self._draft.column(source.name))
        finally:
            self._open.pop()
        if not value.immutable or "to_char(" in sql:
            raise Untranslatable("PostgreSQL allows only expressions that no setting can change")
        return sql

    def _view(self, relation: Relation, column: Column) -> Value:
        source = self._draft.sources[column.name]
        value = column.at(relation.qualifier)
        if source.generated in (Generated.VIRTUAL, Generated.STORED):
            return replace(value, sql=f"({self.expression(source)})")
        return value
