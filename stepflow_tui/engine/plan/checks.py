"""CHECK constraints and column collations."""

from __future__ import annotations

from stepflow_tui.engine.model.plan import ObjectType, Stage, TablePlan
from stepflow_tui.engine.model.schema import SourceCheck
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.plan.sqltext.expressions import parse_expression
from stepflow_tui.engine.plan.sqltext.nodes import Expr, Literal, Ref
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.plan.translate.expressions import Context, translate
from stepflow_tui.engine.plan.translate.scopes import Scope
from stepflow_tui.engine.plan.translate.values import Untranslatable, truth


def add_checks(draft: Draft, table: TablePlan, parts: Parts, *, utf16: bool) -> None:
    """All CHECKs of a table. NULL passes in both databases."""
    if draft.source.unparsed:
        reason = f"its CREATE TABLE can't be read ({draft.source.unparsed}): CHECKs, collations and constraint names are unknown"
        parts.object(ObjectType.CHECK, draft.label, draft.label, carried=False, reason=reason, sql=draft.source.sql)
    context = Context(
        scope=Scope(relations=[draft.relation(parts.schema)]),
        utf16=utf16,
        helper_schema=parts.schema,
        helpers=parts.helpers,
    )
    for number, check in enumerate(draft.source.checks, 1):
        _add(draft, table, check, parts, context=context, number=number)


def _add(draft: Draft, table: TablePlan, check: SourceCheck, parts: Parts, *, context: Context, number: int) -> None:
    label, written = check.name or draft.label, f"CHECK ({check.expression})"
    try:
        tree = parse_expression(check.expression)
        columns = _columns(tree, draft)
        label = check.name or _label(draft, columns)
        sql = truth(translate(tree, context))
    except (Untranslatable, SqlTextError, RecursionError) as exc:
        parts.object(ObjectType.CHECK, label, draft.label, carried=False, reason=str(exc), sql=written)
        return
    target = parts.constraint(draft.label, check.name or f"{'_'.join([draft.name, *columns[:1]])}_check")
    object_id = parts.object(ObjectType.CHECK, label, draft.label, carried=True, sql=written)
    statement = f"alter table {pg_name(table.schema, table.name)} add constraint {pg_ident(target)} check ({sql})"
    parts.statement(
        Stage.CHECK, f"{draft.label} {number}", statement, table=draft.label, object_id=object_id, optional=True
    )


def _label(draft: Draft, columns: list[str]) -> str:
    if not columns:
        return draft.label
    return f"{draft.label}.{columns[0]}" if len(columns) == 1 else f"{draft.label}({', '.join(columns)})"


def _columns(tree: Expr, draft: Draft) -> list[str]:
    """The columns an expression names, in order."""
    names = {n.lower(): n for n in draft.sources}
    found: list[str] = []
    stack: list[object] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Ref) and node.name.lower() in names and names[node.name.lower()] not in found:
            found.append(names[node.name.lower()])
        elif isinstance(node, tuple):
            stack.extend(reversed(node))
        elif hasattr(node, "__dataclass_fields__") and not isinstance(node, Literal):
            stack.extend(reversed([getattr(node, f) for f in node.__dataclass_fields__]))
    return found


def add_collations(draft: Draft, parts: Parts) -> None:
    """Columns that SQLite compares in their own way: PostgreSQL compares their bytes."""
    for source in draft.sources.values():
        if source.collation == "BINARY":
            continue
        target = pg_ident(draft.column(source.name).target)
        advice = {"NOCASE": f"write lower({target} collate \"C\") = lower(… collate \"C\")",
                  "RTRIM": f"write rtrim({target}, ' ') = rtrim(…, ' ')"}.get(source.collation, "the application brought it along")  # fmt: skip
        reason = f"PostgreSQL compares this column byte by byte: {advice}"
        parts.object(ObjectType.COLLATION, f"{draft.label}.{source.name}", draft.label, carried=False, reason=reason,
                     sql=f"COLLATE {source.collation}")  # fmt: skip
