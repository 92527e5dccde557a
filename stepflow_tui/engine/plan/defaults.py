"""Column defaults: constants as the column's type, functions translated, not frozen."""

from __future__ import annotations

from stepflow_tui.engine.model.plan import ObjectType
from stepflow_tui.engine.model.schema import Generated, SourceColumn
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.sqltext.expressions import parse_expression
from stepflow_tui.engine.plan.sqltext.nodes import Expr, Literal, Ref
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.plan.translate.expressions import Context, translate
from stepflow_tui.engine.plan.translate.scopes import Scope
from stepflow_tui.engine.plan.translate.storing import stored
from stepflow_tui.engine.plan.translate.values import Untranslatable


def add_defaults(draft: Draft, parts: Parts, *, utf16: bool) -> None:
    """Decide every default of a table; `draft.defaults` gets the expressions."""
    for source in draft.sources.values():
        if source.default is None or source.generated is not Generated.NO or source.name == draft.source.rowid_alias:
            continue
        name = f"{draft.label}.{source.name}"
        try:
            sql = default_sql(draft, source, parts, utf16=utf16)
        except (Untranslatable, SqlTextError, RecursionError) as exc:
            parts.object(ObjectType.DEFAULT, name, draft.label, carried=False, reason=str(exc), sql=source.default)
            continue
        if sql is not None:
            draft.defaults[source.name] = sql
            parts.object(ObjectType.DEFAULT, name, draft.label, carried=True, sql=source.default)


def default_sql(draft: Draft, source: SourceColumn, parts: Parts, *, utf16: bool) -> str | None:
    """The PostgreSQL default of a column; None for NULL, which is the default anyway.

    Raises:
        Untranslatable, SqlTextError: it can't be carried.
    """
    tree = _bare_word(parse_expression(source.default or "null"))
    if isinstance(tree, Literal) and tree.value is None:
        return None
    context = Context(scope=Scope(), utf16=utf16, helper_schema=parts.schema, helpers=parts.helpers)
    return stored(translate(tree, context), source, draft.column(source.name))


def _bare_word(tree: Expr) -> Expr:
    """`DEFAULT word` is the text 'word', but TRUE and FALSE are 1 and 0."""
    if isinstance(tree, Ref) and len(tree.parts) == 1 and tree.name.lower() not in ("true", "false"):
        return Literal(tree.name, "string")
    return tree
