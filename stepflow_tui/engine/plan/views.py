"""Views: translated with all names resolved, in an order in which each finds what it selects from."""

from __future__ import annotations

from stepflow_tui.engine.model.plan import ObjectType, Stage
from stepflow_tui.engine.model.schema import SourceSchema, SourceView
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.names import column_names
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.plan.sqltext.nodes import View
from stepflow_tui.engine.plan.sqltext.objects import parse_view
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.plan.translate.scopes import Column, Relation
from stepflow_tui.engine.plan.translate.selects import Selected, SelectTranslator, as_columns
from stepflow_tui.engine.plan.translate.values import Untranslatable


def add_views(schema: SourceSchema, drafts: list[Draft], parts: Parts) -> dict[str, Relation]:
    """All views that keep their meaning; returns what can be selected from, tables and views, by lower-case source name."""
    catalog = {d.label.lower(): d.relation(parts.schema) for d in drafts}
    waiting = list(schema.views)
    reasons: dict[str, str] = {}
    progress = True
    while waiting and progress:
        progress = False
        for view in list(waiting):
            try:
                catalog[view.name.lower()] = _add(view, catalog, schema, parts)
            except (Untranslatable, SqlTextError, RecursionError) as exc:
                reasons[view.name] = str(exc) or "it is nested too deeply"
                continue
            waiting.remove(view)
            progress = True
    for view in waiting:
        parts.object(ObjectType.VIEW, view.name, None, carried=False, reason=reasons[view.name], sql=view.sql)
    return catalog


def _add(view: SourceView, catalog: dict[str, Relation], schema: SourceSchema, parts: Parts) -> Relation:
    tree = parse_view(view.sql)
    if not view.columns:
        raise Untranslatable("SQLite itself can't prepare it")
    helpers: set[str] = set()
    translator = SelectTranslator(catalog, utf16=schema.utf16, helper_schema=parts.schema, helpers=helpers)
    selected = translator.select(tree.select)
    names = _names(view, tree, selected)
    targets = column_names(names)
    parts.helpers |= helpers
    target = parts.relations.take(view.name, empty="unnamed")
    sql = pg_name(parts.schema, target)
    object_id = parts.object(ObjectType.VIEW, view.name, None, carried=True, sql=view.sql)
    listed = ", ".join(pg_ident(targets[n]) for n in names)
    parts.statement(
        Stage.VIEW,
        view.name,
        f"create view {sql} ({listed}) as {selected.sql}",
        object_id=object_id,
        optional=True,
        undo=f"drop view if exists {sql}",
    )
    columns = tuple(
        Column(name=c.name, target=targets[c.name], value=c.value) for c in as_columns(names, selected.values)
    )
    return Relation(name=view.name, columns=columns, sql=sql)


def _names(view: SourceView, tree: View, selected: Selected) -> tuple[str, ...]:
    """SQLite's own names for the view's columns."""
    if len(view.columns) != len(selected.values) or (tree.columns and len(tree.columns) != len(selected.values)):
        raise Untranslatable("its columns are counted differently here and in SQLite")
    return view.columns
