"""CREATE INDEX: partial, over expressions, descending, under NOCASE."""

from __future__ import annotations

from stepflow_tui.engine.model.plan import ObjectType, Stage, TablePlan
from stepflow_tui.engine.model.schema import IndexTerm, SourceIndex
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.keys import folded_term
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.plan.sqltext.expressions import parse_expression
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.plan.translate.comparisons import folded
from stepflow_tui.engine.plan.translate.expressions import Context, translate
from stepflow_tui.engine.plan.translate.scopes import Scope
from stepflow_tui.engine.plan.translate.values import Sort, Untranslatable, Value, truth


def add_index(draft: Draft, table: TablePlan, index: SourceIndex, parts: Parts, *, utf16: bool) -> None:
    """One index of the source, or the reason why there is none."""
    context = Context(
        scope=Scope(relations=[draft.relation(parts.schema)]),
        utf16=utf16,
        helper_schema=parts.schema,
        helpers=parts.helpers,
    )
    try:
        terms = [_term(draft, table, t, context, parts) for t in index.terms]
        where = _where(index, context)
    except (Untranslatable, SqlTextError, RecursionError) as exc:
        parts.object(ObjectType.INDEX, index.name, draft.label, carried=False, reason=str(exc), sql=index.sql or "")
        return
    target = parts.relations.take(index.name)
    object_id = parts.object(
        ObjectType.INDEX, index.name, draft.label, carried=True, reason=_reason(index), sql=index.sql or ""
    )
    unique = "unique " if index.unique else ""
    sql = f"create {unique}index {pg_ident(target)} on {pg_name(table.schema, table.name)} ({', '.join(terms)}){where}"
    parts.statement(Stage.KEY, f"index {index.name}", sql, table=draft.label, object_id=object_id, optional=True)
    if index.unique and not where and all(t.column and t.collation == "BINARY" for t in index.terms):
        draft.plain_keys.add(frozenset(t.column or "" for t in index.terms))


def _term(draft: Draft, table: TablePlan, term: IndexTerm, context: Context, parts: Parts) -> str:
    if term.column is not None:
        if term.column not in draft.sources:
            raise Untranslatable(f"the column {term.column}, which is not carried")
        sql = folded_term(draft, table, term.column, term.collation, parts)
    else:
        value = _settled(translate(parse_expression(term.expression or ""), context))
        text = value.sort in (Sort.TEXT, Sort.MIXED)
        sql = f"({folded(value.sql, term.collation) if text else value.sql})"
    return sql + (" desc" if term.desc else "")


def _settled(value: Value) -> Value:
    if not value.immutable or "to_char(" in value.sql:
        raise Untranslatable("PostgreSQL indexes only expressions that no setting can change")
    return value


def _where(index: SourceIndex, context: Context) -> str:
    if index.sql is not None and index.where is None and " where " in index.sql.lower() and not index.terms:
        raise Untranslatable("its condition can't be read")
    if index.where is None:
        return ""
    value = _settled(translate(parse_expression(index.where), context))
    return f" where {truth(value)}"


def _reason(index: SourceIndex) -> str:
    folds = [t.collation for t in index.terms if t.collation != "BINARY"]
    return f"{folds[0]} as lower() or rtrim(), ASCII letters only, as in SQLite" if folds else ""
