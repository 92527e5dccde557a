"""Triggers: plain SQL bodies become plpgsql functions, the `updated_at` pattern a BEFORE trigger.

SQLite doesn't fire a trigger again while it runs (recursive_triggers is off by itself), PostgreSQL does: a trigger that could
come back to itself, directly or through others or cascades, isn't carried.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.model.plan import ObjectType, Stage
from stepflow_tui.engine.model.schema import SourceSchema, SourceTrigger
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.plan.sqltext.nodes import Delete, Insert, Timing, Trigger, Update
from stepflow_tui.engine.plan.sqltext.objects import parse_trigger
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.plan.translate.bodies import Body, Fired, touch_assignments, translate_body
from stepflow_tui.engine.plan.translate.scopes import Relation
from stepflow_tui.engine.plan.translate.values import Untranslatable


@dataclass(frozen=True, slots=True)
class _Parsed:
    source: SourceTrigger
    tree: Trigger


def add_triggers(schema: SourceSchema, drafts: dict[str, Draft], catalog: dict[str, Relation], parts: Parts) -> None:
    """All triggers that keep their meaning.

    Args:
        drafts: carried tables by lower-case source name.
        catalog: tables and views that can be named, by lower-case source name.
    """
    parsed: list[_Parsed] = []
    for source in schema.triggers:
        try:
            parsed.append(_Parsed(source, parse_trigger(source.sql)))
        except (SqlTextError, RecursionError) as exc:
            parts.object(ObjectType.TRIGGER, source.name, source.table, carried=False, reason=str(exc), sql=source.sql)
    writes = _Writes(parsed, schema)
    for trigger in parsed:
        try:
            _add(trigger, _fired(trigger.tree, schema, drafts, catalog, parts.schema), writes, parts)
        except (Untranslatable, SqlTextError, RecursionError) as exc:
            parts.object(
                ObjectType.TRIGGER,
                trigger.source.name,
                trigger.source.table,
                carried=False,
                reason=str(exc),
                sql=trigger.source.sql,
            )


def _fired(
    tree: Trigger, schema: SourceSchema, drafts: dict[str, Draft], catalog: dict[str, Relation], target: str
) -> Fired:
    relation = catalog.get(tree.table.lower())
    if relation is None:
        raise Untranslatable(f"{tree.table}, which is not carried")
    return Fired(
        tree=tree, relation=relation, catalog=catalog, drafts=drafts, utf16=schema.utf16, schema=target, helpers=set()
    )


class _Writes:
    """Which triggers can set off which: by their writes, and by cascades of foreign keys."""

    def __init__(self, parsed: list[_Parsed], schema: SourceSchema) -> None:
        self._parsed = parsed
        self._cascades: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for table in schema.tables:
            for key in table.foreign_keys:
                child, parent = table.name.lower(), key.ref_table.lower()
                for event, action in (("delete", key.on_delete), ("update", key.on_update)):
                    if action in ("CASCADE", "SET NULL", "SET DEFAULT"):
                        result = "delete" if (event, action) == ("delete", "CASCADE") else "update"
                        self._cascades.setdefault((parent, event), set()).add((child, result))

    def returns(self, trigger: Trigger) -> bool:
        """Whether running this trigger can fire it again."""
        seen: set[tuple[str, str]] = set()
        open_ = list(_written(trigger))
        while open_:
            event = open_.pop()
            if event in seen:
                continue
            seen.add(event)
            if event == (trigger.table.lower(), trigger.event):
                return True
            open_.extend(self._cascades.get(event, ()))
            for other in self._parsed:
                if (other.tree.table.lower(), other.tree.event) == event:
                    open_.extend(_written(other.tree))
        return False

    def others_update(self, trigger: Trigger) -> bool:
        """Whether another UPDATE trigger of the table would see the touch."""
        return any(
            o.tree.table.lower() == trigger.table.lower() and o.tree.event == "update" and o.tree is not trigger
            for o in self._parsed
        )


def _written(trigger: Trigger) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for action in trigger.body:
        if isinstance(action, Insert):
            found.add((action.table.lower(), "insert"))
            if action.action == "REPLACE":
                found.add((action.table.lower(), "delete"))
        elif isinstance(action, Update):
            found.add((action.table.lower(), "update"))
        elif isinstance(action, Delete):
            found.add((action.table.lower(), "delete"))
    return found


def _add(trigger: _Parsed, fired: Fired, writes: _Writes, parts: Parts) -> None:
    tree = trigger.tree
    body, reason = _touch(fired, writes)
    timing = "before" if body is not None else tree.timing.value
    if body is None:
        if writes.returns(tree):
            raise Untranslatable("it could fire itself again, which SQLite by default doesn't do and PostgreSQL does")
        body = translate_body(fired)
        reason = body.reason
    parts.helpers |= fired.helpers
    name = trigger.source.name
    function = parts.functions.take(name, empty="unnamed")
    object_id = parts.object(
        ObjectType.TRIGGER, name, trigger.source.table, carried=True, reason=reason, sql=trigger.source.sql
    )
    own = fired.drafts.get(tree.table.lower())
    table = own.label if own is not None else None
    parts.statement(Stage.TRIGGER, f"function {name}", _function(parts.schema, function, body.sql), table=table,
                    object_id=object_id, optional=True,
                    undo=f"drop function if exists {pg_name(parts.schema, function)}() cascade")  # fmt: skip
    parts.statement(Stage.TRIGGER, f"trigger {name}", _trigger(tree, fired.relation, timing, function, parts.schema),
                    table=table, object_id=object_id, optional=True,
                    undo=f"drop trigger if exists {pg_ident(function)} on {fired.relation.sql}")  # fmt: skip


def _touch(fired: Fired, writes: _Writes) -> tuple[Body | None, str]:
    """The `updated_at` pattern: one UPDATE of the very row, which a BEFORE trigger does without a second write."""
    tree = fired.tree
    if tree.timing is not Timing.AFTER or tree.event == "delete" or len(tree.body) != 1:
        return None, ""
    update = tree.body[0]
    if not isinstance(update, Update) or update.table.lower() != tree.table.lower() or writes.others_update(tree):
        return None, ""
    assignments = touch_assignments(fired, update)
    if assignments is None:
        return None, ""
    return assignments, "as a BEFORE trigger that sets the column: the same row, written once"


def _function(schema: str, name: str, body: str) -> str:
    tag = "$trigger$"
    while tag in body:
        tag = tag[:-1] + "_$"
    return (
        f"create function {pg_name(schema, name)}() returns trigger language plpgsql as {tag}\nbegin\n{body}end\n{tag}"
    )


def _trigger(tree: Trigger, relation: Relation, timing: str, function: str, schema: str) -> str:
    of = ""
    if tree.of:
        columns = [relation.find(c) for c in tree.of]
        if any(c is None for c in columns):
            raise Untranslatable("UPDATE OF a column that isn't there")
        of = " of " + ", ".join(pg_ident(c.target) for c in columns if c is not None)
    return (
        f"create trigger {pg_ident(function)} {timing} {tree.event}{of} on {relation.sql}"
        f" for each row execute function {pg_name(schema, function)}()"
    )
