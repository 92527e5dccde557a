"""Trigger bodies → plpgsql."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from stepflow_tui.engine.model.schema import Generated
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal
from stepflow_tui.engine.plan.sqltext.nodes import (
    Binary,
    Case,
    Core,
    Delete,
    Expr,
    Insert,
    Literal,
    Raise,
    Ref,
    Result,
    Select,
    Timing,
    Trigger,
    Update,
)
from stepflow_tui.engine.plan.translate.expressions import translate
from stepflow_tui.engine.plan.translate.scopes import Column, Relation, Scope
from stepflow_tui.engine.plan.translate.selects import SelectTranslator
from stepflow_tui.engine.plan.translate.storing import stored
from stepflow_tui.engine.plan.translate.values import Sort, Untranslatable, Value, truth

_RETURN = {"insert": "new", "update": "new", "delete": "old"}
_ABORTING = frozenset({"ABORT", "ROLLBACK", "FAIL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A trigger and what it sees. `relation` is its table or view; `helpers` collects needed functions."""

    tree: Trigger
    relation: Relation
    catalog: Mapping[str, Relation]
    drafts: Mapping[str, Draft]
    utf16: bool
    schema: str
    helpers: set[str]

    def translator(self) -> SelectTranslator:
        """A translator of selects over the catalog."""
        return SelectTranslator(self.catalog, utf16=self.utf16, helper_schema=self.schema, helpers=self.helpers)

    def rows(self) -> Scope:
        """NEW and OLD, as the event has them."""
        names = {"insert": ("new",), "delete": ("old",), "update": ("new", "old")}[self.tree.event]
        relations = [replace(self.relation, name=n, qualifier=n, qualified_only=True) for n in names]
        return Scope(relations=relations, view=self._row_value)

    def _row_value(self, relation: Relation, column: Column) -> Value:
        before = self.tree.timing is Timing.BEFORE
        if before and column.generated and relation.name == "new":
            raise Untranslatable("a generated column of NEW, which PostgreSQL computes after BEFORE triggers")
        if before and self.tree.event == "insert" and relation.rowid is not None and column.name == relation.rowid:
            raise Untranslatable("the rowid of NEW in a BEFORE INSERT trigger, which SQLite doesn't know yet")
        return column.at(relation.qualifier)


@dataclass(frozen=True, slots=True)
class Body:
    """The statements between BEGIN and END, and in what respect the trigger takes another form."""

    sql: str
    reason: str = ""


def translate_body(fired: Fired) -> Body:
    """The whole body, WHEN included.

    Raises:
        Untranslatable: a statement of it has no form that surely means the same.
    """
    tree = fired.tree
    reasons: list[str] = []
    if tree.timing is Timing.INSTEAD and tree.of:
        raise Untranslatable("INSTEAD OF UPDATE OF columns, which PostgreSQL doesn't have")
    if tree.timing is Timing.BEFORE and any(_table(a) == tree.table.lower() for a in tree.body):
        raise Untranslatable("a BEFORE trigger that writes its own table")
    lines = [_statement(action, fired, reasons) for action in tree.body]
    text = "".join(f"  {line}\n" for line in lines)
    if tree.when is not None:
        condition = truth(translate(tree.when, fired.translator().context(fired.rows())))
        text = f"  if {condition} then\n{text}  end if;\n"
    result = "null" if tree.timing is Timing.AFTER else _RETURN[tree.event]
    return Body(f"{text}  return {result};\n", "; ".join(dict.fromkeys(reasons)))


def _table(action: object) -> str:
    return action.table.lower() if isinstance(action, Insert | Update | Delete) else ""


def _statement(action: object, fired: Fired, reasons: list[str]) -> str:
    for kind, handler in _STATEMENTS.items():
        if isinstance(action, kind):
            return handler(action, fired, reasons)
    raise Untranslatable("a statement of its body")


def _draft(table: str, fired: Fired) -> Draft:
    draft = fired.drafts.get(table.lower())
    if draft is None or draft.impossible:
        raise Untranslatable(f"{table}, which is not a carried table")
    return draft


def _insert(action: Insert, fired: Fired, reasons: list[str]) -> str:
    if action.action not in ("", "ABORT", "IGNORE"):
        raise Untranslatable(f"INSERT OR {action.action}")
    draft = _draft(action.table, fired)
    relation = fired.catalog[action.table.lower()]
    suffix = ""
    if action.action == "IGNORE":
        suffix = " on conflict do nothing"
        reasons.append("OR IGNORE as ON CONFLICT DO NOTHING, which still refuses NULLs and failed CHECKs")
    if action.select is None:
        return f"insert into {relation.sql} default values{suffix};"
    names = action.columns or tuple(n for n, s in draft.sources.items() if s.generated is Generated.NO)
    targets = [relation.find(n) for n in names]
    if any(t is None for t in targets):
        raise Untranslatable(f"a column that {action.table} hasn't")
    columns = [t for t in targets if t is not None]
    rows = _rows(action.select, columns, draft, fired)
    listed = ", ".join(pg_ident(c.target) for c in columns)
    return f"insert into {relation.sql} ({listed}) {rows}{suffix};"


def _rows(select: Select, columns: list[Column], draft: Draft, fired: Fired) -> str:
    cores = [core for _, core in select.cores]
    if len(cores) == 1 and cores[0].values:
        return "values " + ", ".join(_row(row, columns, draft, fired) for row in cores[0].values)
    if len(cores) != 1 or select.order_by or select.limit is not None or cores[0].distinct:
        raise Untranslatable("INSERT from a select that orders, limits or combines")
    selected = fired.translator().select(select, fired.rows())
    if len(selected.values) != len(columns):
        raise Untranslatable("INSERT with another number of values than columns")
    inner = selected.relation("chosen")
    cells = [_cell(c.at(inner.qualifier), target, draft) for c, target in zip(inner.columns, columns, strict=True)]
    return f'select {", ".join(cells)} from ({selected.sql}) as "chosen"'


def _row(row: tuple[Expr, ...], columns: list[Column], draft: Draft, fired: Fired) -> str:
    if len(row) != len(columns):
        raise Untranslatable("INSERT with another number of values than columns")
    context = fired.translator().context(fired.rows())
    return "(" + ", ".join(_cell(translate(e, context), c, draft) for e, c in zip(row, columns, strict=True)) + ")"


def _cell(value: Value, column: Column, draft: Draft) -> str:
    if column.name == draft.source.rowid_alias:
        if value.sort is Sort.NULL:
            return "default"  # SQLite gives the next number
        if value.sort is not Sort.INT:
            raise Untranslatable("a rowid that isn't an integer")
    return stored(value, draft.sources[column.name], draft.column(column.name))


def _scope_of(table: str, fired: Fired) -> tuple[Relation, Scope]:
    relation = replace(fired.catalog[table.lower()], name=table, qualifier=pg_ident("target_row"))
    return relation, Scope(relations=[relation], parent=fired.rows())


def _update(action: Update, fired: Fired, _: list[str]) -> str:
    if action.action not in ("", "ABORT"):
        raise Untranslatable(f"UPDATE OR {action.action}")
    draft = _draft(action.table, fired)
    relation, scope = _scope_of(action.table, fired)
    context = fired.translator().context(scope)
    parts = []
    for name, expression in action.assignments:
        column = relation.find(name)
        if column is None:
            raise Untranslatable(f"a column that {action.table} hasn't")
        parts.append(f"{pg_ident(column.target)} = {_cell(translate(expression, context), column, draft)}")
    where = f" where {truth(translate(action.where, context))}" if action.where is not None else ""
    return f'update {relation.sql} as "target_row" set {", ".join(parts)}{where};'


def _delete(action: Delete, fired: Fired, _: list[str]) -> str:
    _draft(action.table, fired)
    relation, scope = _scope_of(action.table, fired)
    where = ""
    if action.where is not None:
        where = f" where {truth(translate(action.where, fired.translator().context(scope)))}"
    return f'delete from {relation.sql} as "target_row"{where};'


def _select(action: Select, fired: Fired, reasons: list[str]) -> str:
    """A SELECT in a body is there for its RAISE."""
    core = action.cores[0][1]
    if len(action.cores) != 1 or action.ctes or len(core.results) != 1 or core.values or core.group_by or core.having:
        raise Untranslatable("a SELECT in its body that isn't a plain RAISE")
    expression = core.results[0].expression
    if isinstance(expression, Raise):
        return _raised_if(_found(core, fired), expression, fired, reasons)
    if isinstance(expression, Case) and not core.sources:
        return _raising_case(expression, core, fired, reasons)
    raise Untranslatable("a SELECT in its body that isn't a plain RAISE")


def _found(core: Core, fired: Fired) -> str:
    """Whether the select has a row."""
    if not core.sources and core.where is None:
        return "true"
    if not core.sources and core.where is not None:
        return truth(translate(core.where, fired.translator().context(fired.rows())))
    probe = replace(core, results=(Result(Literal(1, "1"), "found"),))
    selected = fired.translator().select(Select((("", probe),)), fired.rows())
    return f"exists ({selected.sql})"


def _raised_if(condition: str, raised: Raise, fired: Fired, reasons: list[str]) -> str:
    return f"if {condition} then {_raise(raised, fired, reasons)} end if;"


def _raise(raised: Raise, fired: Fired, reasons: list[str]) -> str:
    if raised.action == "IGNORE":
        if fired.tree.timing is not Timing.BEFORE:
            raise Untranslatable("RAISE(IGNORE) outside a BEFORE trigger")
        return "return null;"
    if raised.action not in _ABORTING:
        raise Untranslatable(f"RAISE({raised.action})")
    if raised.action == "FAIL":
        reasons.append("RAISE(FAIL) undoes the whole statement")
    return f"raise exception using errcode = 'integrity_constraint_violation', message = {pg_literal(raised.message).strip()};"


def _raising_case(case: Case, core: Core, fired: Fired, reasons: list[str]) -> str:
    """CASE WHEN … THEN RAISE(…) END, whose other branches do nothing."""
    if case.base is not None:
        raise Untranslatable("a SELECT in its body that isn't a plain RAISE")
    context = fired.translator().context(fired.rows())
    text, word = "", "if"
    for condition, result in case.whens:
        text += f"{word} {truth(translate(condition, context))} then {_branch(result, fired, reasons)} "
        word = "elsif"
    if case.otherwise is not None:
        text += f"else {_branch(case.otherwise, fired, reasons)} "
    text += "end if;"
    if core.where is not None:
        text = f"if {truth(translate(core.where, context))} then {text} end if;"
    return text


def _branch(result: Expr, fired: Fired, reasons: list[str]) -> str:
    if isinstance(result, Raise):
        return _raise(result, fired, reasons)
    if isinstance(result, Literal):
        return "null;"
    raise Untranslatable("a SELECT in its body that isn't a plain RAISE")


_STATEMENTS: dict[type, Callable[..., str]] = {Insert: _insert, Update: _update, Delete: _delete, Select: _select}


def touch_assignments(fired: Fired, update: Update) -> Body | None:
    """The body of a BEFORE trigger for `UPDATE t SET c = … WHERE key = NEW.key`; None if the update is anything else."""
    draft = fired.drafts.get(update.table.lower())
    guards = None if draft is None else _names_the_row(update.where, draft, fired)
    if draft is None or update.action not in ("", "ABORT") or guards is None:
        return None
    keys = {k.lower() for k in (draft.source.primary_key or (draft.source.rowid_alias or "",))}
    if any(c.lower() in keys for c, _ in update.assignments):
        return None
    rows = fired.rows()
    # unqualified names mean the row as it has just been written, which is NEW
    written = replace(fired.relation, name=update.table, qualifier="new")
    context = fired.translator().context(Scope(relations=[written], parent=rows, view=_not_generated))
    values = []
    for name, expression in update.assignments:
        column = fired.relation.find(name)
        if column is None:
            return None
        values.append((column, _cell(translate(expression, context), column, draft)))
    if len(values) > 1 and any(isinstance(e, Ref) for _, e in update.assignments):
        return None  # one assignment would see the other's result
    text = "".join(f"  new.{pg_ident(c.target)} := {sql};\n" for c, sql in values)
    if fired.tree.when is not None:
        guards.append(truth(translate(fired.tree.when, fired.translator().context(rows))))
    if guards:
        text = f"  if {' and '.join(guards)} then\n{text}  end if;\n"
    return Body(text + "  return new;\n")


def _not_generated(relation: Relation, column: Column) -> Value:
    if column.generated:
        raise Untranslatable("a generated column of NEW, which PostgreSQL computes after BEFORE triggers")
    return column.at(relation.qualifier)


def _names_the_row(where: Expr | None, draft: Draft, fired: Fired) -> list[str] | None:
    """What must hold for WHERE to find the very row, if it says `key = NEW.key` or `= OLD.key` for every key column and
    nothing else; None if it says something else. OLD finds the row only if its key has not changed."""
    alias = draft.source.rowid_alias
    wanted = {k.lower() for k in draft.source.primary_key} or {"rowid"}
    if any(draft.fact(k).nulls for k in draft.source.primary_key):
        return None
    found: set[str] = set()
    guards: list[str] = []
    parts: list[Expr | None] = [where]
    while parts:
        part = parts.pop()
        if isinstance(part, Binary) and part.op == "and":
            parts += [part.left, part.right]
            continue
        test = _key_test(part, fired)
        if test is None:
            return None
        name, row = test
        if name.lower() in ("rowid", "_rowid_", "oid") and fired.relation.find(name) is not None and alias:
            name = alias
        found.add(name.lower())
        if row == "old":
            column = fired.relation.find(name)
            if column is None:
                return None
            guards.append(f"new.{pg_ident(column.target)} = old.{pg_ident(column.target)}")
    whole = found == wanted or (alias is None and found == {"rowid"} and not draft.source.without_rowid)
    return guards if whole else None


def _key_test(part: Expr | None, fired: Fired) -> tuple[str, str] | None:
    """Column and row (new, old) of `column = NEW.column`."""
    if not isinstance(part, Binary) or part.op not in ("=", "is"):
        return None
    refs = [s for s in (part.left, part.right) if isinstance(s, Ref)]
    own = [r for r in refs if len(r.parts) == 1 or r.parts[-2].lower() == fired.tree.table.lower()]
    row = [r for r in refs if len(r.parts) == 2 and r.parts[0].lower() in ("new", "old")]
    if len(own) != 1 or len(row) != 1 or own[0].name.lower() != row[0].name.lower():
        return None
    return own[0].name, row[0].parts[0].lower()
