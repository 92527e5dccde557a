"""SELECT → SELECT, for views and trigger bodies. Every name is resolved, every column's form is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.plan.names import short_name
from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.plan.sqltext.nodes import Call, Core, Expr, Literal, Order, Ref, Select, Source
from stepflow_tui.engine.plan.translate.aggregates import AGGREGATES
from stepflow_tui.engine.plan.translate.comparisons import compare, folded
from stepflow_tui.engine.plan.translate.expressions import Context, translate
from stepflow_tui.engine.plan.translate.scopes import Column, Relation, Scope
from stepflow_tui.engine.plan.translate.unify import unify
from stepflow_tui.engine.plan.translate.values import C, Sort, Untranslatable, Value, truth

_NULL_SORTS = {
    Affinity.TEXT: (Sort.TEXT, "text"), Affinity.INTEGER: (Sort.INT, "bigint"), Affinity.REAL: (Sort.REAL, "float8"),
    Affinity.NUMERIC: (Sort.DECIMAL, "numeric"), Affinity.BLOB: (Sort.BLOB, "bytea"), None: (Sort.TEXT, "text"),
}  # fmt: skip
_JOINS = {"inner": "join", "left": "left join", "right": "right join", "full": "full join"}


@dataclass(frozen=True, slots=True)
class Selected:
    """A translated select: its SQL, and its columns' names and values (`sql` of a value is its expression inside)."""

    sql: str
    names: tuple[str, ...]
    values: tuple[Value, ...]

    def relation(self, name: str, sql: str = "") -> Relation:
        """The select as something that can be selected from."""
        alias = pg_ident(short_name(name))
        return Relation(name=name, columns=as_columns(self.names, self.values), qualifier=alias, sql=sql)


def as_columns(names: tuple[str, ...], values: tuple[Value, ...]) -> tuple[Column, ...]:
    """Result columns as columns of a subquery or view."""
    return tuple(
        Column(name=n, target=short_name(n), value=replace(
            v, is_constant=False, constant=None, integer_sql=None, explicit_collation=False, immutable=False, finite=False))
        for n, v in zip(names, values, strict=True)
    )  # fmt: skip


@dataclass(slots=True)
class _Built:
    """One core before its columns are unified with the others'."""

    node: Core
    scope: Scope
    names: tuple[str, ...]
    values: tuple[Value, ...]
    source: str = ""
    rows: list[tuple[Value, ...]] = field(default_factory=list)


class SelectTranslator:
    """Translates selects over a catalog of tables and views that are carried, by lower-case source name."""

    def __init__(self, catalog: Mapping[str, Relation], *, utf16: bool, helper_schema: str, helpers: set[str]) -> None:
        self._catalog = dict(catalog)
        self._utf16 = utf16
        self._helper_schema = helper_schema
        self._helpers = helpers

    def context(self, scope: Scope, *, aggregates: bool = False) -> Context:
        """A context for expressions that may hold selects."""
        return Context(scope=scope, utf16=self._utf16, helper_schema=self._helper_schema, helpers=self._helpers,
                       subselect=self._inside, aggregates=aggregates)  # fmt: skip

    def _inside(self, node: Select, scope: Scope) -> tuple[str, tuple[Value, ...]]:
        selected = self.select(node, scope)
        return selected.sql, selected.values

    def select(self, node: Select, parent: Scope | None = None) -> Selected:
        """Translate one select.

        Raises:
            Untranslatable: a part of it has no form that surely means the same.
        """
        if node.recursive:
            raise Untranslatable("a recursive WITH")
        with_sql = self._ctes(node, parent) if node.ctes else ""
        built = [self._core(core, parent) for _, core in node.cores]
        if len({len(b.values) for b in built}) != 1:
            raise Untranslatable("a compound select with different numbers of columns")
        values, columns = self._columns(built, [op for op, _ in node.cores])
        parts = []
        for (op, _), core, sqls in zip(node.cores, built, columns, strict=True):
            parts.append((f" {op} " if op else "") + self._render(core, sqls, built[0].names))
        sql = "".join(parts)
        sql = self._ordered(sql, node, built, values) + self._limit(node)
        return Selected(with_sql + sql, built[0].names, values)

    def _ctes(self, node: Select, parent: Scope | None) -> str:
        made = []
        for cte in node.ctes:
            selected = self.select(cte.select, parent)
            names = cte.columns or selected.names
            if len(names) != len(selected.values):
                raise Untranslatable("a WITH clause with another number of columns")
            listed = ", ".join(pg_ident(short_name(n)) for n in names)
            made.append(f"{pg_ident(short_name(cte.name))} ({listed}) as ({selected.sql})")
            self._catalog[cte.name.lower()] = Selected("", names, selected.values).relation(
                cte.name, pg_ident(short_name(cte.name))
            )
        return f"with {', '.join(made)} "

    def _core(self, node: Core, parent: Scope | None) -> _Built:
        if node.values:
            return self._values(node, parent)
        scope = Scope(parent=parent)
        source = self._from(node.sources, scope)
        context = self.context(scope, aggregates=True)
        names: list[str] = []
        values: list[Value] = []
        for result in node.results:
            if result.star_of is not None:
                for column, value in self._star(result.star_of, scope):
                    names.append(column)
                    values.append(value)
                continue
            assert result.expression is not None
            value = translate(result.expression, context)
            names.append(result.alias or self._own_name(result.expression, result.text, scope))
            values.append(value)
            if result.alias:
                scope.aliases.setdefault(result.alias.lower(), value)
        _refuse_bare_columns(node)
        return _Built(node, scope, _unique(names), tuple(values), source)

    def _values(self, node: Core, parent: Scope | None) -> _Built:
        scope = Scope(parent=parent)
        rows = [tuple(translate(e, self.context(scope)) for e in row) for row in node.values]
        if len({len(r) for r in rows}) != 1:
            raise Untranslatable("VALUES with rows of different length")
        names = tuple(f"column{i + 1}" for i in range(len(rows[0])))
        common = tuple(unify(column)[0] for column in zip(*rows, strict=True)) if len(rows) > 1 else rows[0]
        return _Built(node, scope, names, common, rows=rows)

    def _own_name(self, expression: Expr, written: str, scope: Scope) -> str:
        if isinstance(expression, Ref):
            for relation in scope.relations:
                column = relation.find(expression.name)
                if column is not None:
                    return column.name
            return expression.name
        return written or "column"

    def _star(self, of: str, scope: Scope) -> list[tuple[str, Value]]:
        relations = [r for r in scope.relations if not of or r.name.lower() == of.lower()]
        if not relations:
            raise Untranslatable(f"{of or ''}* without a table")
        found: list[tuple[str, Value]] = []
        seen: set[str] = set()
        for relation in relations:
            for column in relation.columns:
                folded_name = column.name.lower()
                if not of and folded_name in scope.merged and folded_name in seen:
                    continue  # a column of USING stands once
                seen.add(folded_name)
                found.append((column.name, column.at(relation.qualifier)))
        return found

    def _from(self, sources: tuple[Source, ...], scope: Scope) -> str:
        parts: list[str] = []
        for source in sources:
            relation, sql = self._source(source, scope)
            condition = self._condition(source, relation, scope)
            scope.relations.append(relation)
            if not parts:
                parts.append(sql)
            elif condition is None and source.on is None:
                if source.join not in ("cross", "inner"):
                    raise Untranslatable("an outer join without condition")
                parts.append(f"cross join {sql}")
            else:
                on = (
                    condition or truth(translate(source.on, self.context(scope)))
                    if source.on is not None
                    else condition
                )
                parts.append(f"{_JOINS.get(source.join, 'join')} {sql} on {on}")
        return " ".join(parts)

    def _source(self, source: Source, scope: Scope) -> tuple[Relation, str]:
        if source.select is not None:
            # SQLite's subqueries in FROM see the outer query, not their neighbours
            selected = self.select(source.select, scope.parent)
            name = source.alias or f"subquery{len(scope.relations) + 1}"
            relation = selected.relation(name)
            return relation, f"({selected.sql}) as {relation.qualifier}"
        assert source.table is not None
        found = self._catalog.get(source.table.lower())
        if found is None:
            raise Untranslatable(f"{source.table}, which is not carried")
        name = source.alias or source.table
        alias = pg_ident(short_name(name))
        return replace(found, name=name, qualifier=alias), f"{found.sql} as {alias}"

    def _condition(self, source: Source, relation: Relation, scope: Scope) -> str | None:
        if not source.using:
            return None
        if source.join in ("right", "full"):
            raise Untranslatable("a RIGHT or FULL join with USING")
        tests = []
        for name in source.using:
            left, right = scope.resolve(Ref((name,))), relation.find(name)
            if right is None:
                raise Untranslatable(f"the name {name}, which is unknown here")
            tests.append(compare("=", left, right.at(relation.qualifier)).sql)
            scope.merged.add(name.lower())
        return " and ".join(tests)

    def _columns(self, built: list[_Built], ops: list[str]) -> tuple[tuple[Value, ...], list[list[str]]]:
        """The common value of each column, and each core's SQL for it."""
        values: list[Value] = []
        columns: list[list[str]] = [[] for _ in built]
        for position in range(len(built[0].values)):
            own = [b.values[position] for b in built]
            common, sqls = unify(own) if len(own) > 1 else (own[0], [own[0].sql])
            if common.sort is Sort.NULL:
                sort, pg_type = _NULL_SORTS[own[0].affinity]
                common, sqls = replace(common, sort=sort), [f"null::{pg_type}"] * len(own)
            affinities, collations = {v.affinity for v in own}, {v.collation for v in own}
            common = replace(common, affinity=own[0].affinity if len(affinities) == 1 else Affinity.BLOB,
                             collation=own[0].collation if len(collations) == 1 else None, sql=sqls[0])  # fmt: skip
            distinct = any(op and op != "union all" for op in ops) or any(b.node.distinct for b in built)
            if distinct and collations - {None, "BINARY"}:
                raise Untranslatable("DISTINCT under another collation than BINARY")
            values.append(common)
            for sqls_of_core, sql in zip(columns, sqls, strict=True):
                sqls_of_core.append(sql)
        return tuple(values), columns

    def _render(self, core: _Built, sqls: list[str], names: tuple[str, ...]) -> str:
        if core.rows:
            if len(core.rows) == 1:
                return (
                    f"select {', '.join(f'{s} as {pg_ident(short_name(n))}' for s, n in zip(sqls, names, strict=True))}"
                )
            unified = [unify(column)[1] for column in zip(*core.rows, strict=True)]
            return "values " + ", ".join(f"({', '.join(row)})" for row in zip(*unified, strict=True))
        listed = ", ".join(f"{s} as {pg_ident(short_name(n))}" for s, n in zip(sqls, names, strict=True))
        sql = f"select {'distinct ' if core.node.distinct else ''}{listed}"
        if core.source:
            sql += f" from {core.source}"
        if core.node.where is not None:
            sql += f" where {truth(translate(core.node.where, self.context(core.scope)))}"
        if core.node.group_by:
            sql += f" group by {', '.join(self._group(e, core) for e in core.node.group_by)}"
        if core.node.having is not None:
            sql += f" having {truth(translate(core.node.having, self.context(core.scope, aggregates=True)))}"
        return sql

    def _group(self, expression: Expr, core: _Built) -> str:
        value = self._ordinal(expression, core.values) or translate(expression, self.context(core.scope))
        if value.collation not in (None, "BINARY") or value.sort is Sort.OPAQUE:
            raise Untranslatable("GROUP BY under another collation than BINARY")
        return value.sql

    @staticmethod
    def _ordinal(expression: Expr, values: tuple[Value, ...]) -> Value | None:
        if (
            isinstance(expression, Literal)
            and isinstance(expression.value, int)
            and 1 <= expression.value <= len(values)
        ):
            return values[expression.value - 1]
        return None

    def _ordered(self, sql: str, node: Select, built: list[_Built], values: tuple[Value, ...]) -> str:
        if not node.order_by:
            return sql
        wrapped = len(built) > 1 or built[0].node.distinct
        if wrapped:
            outer = Selected("", built[0].names, values).relation("ordered")
            context = self.context(Scope(relations=[outer]))
            cells = tuple(c.at(outer.qualifier) for c in outer.columns)
            terms = [
                self._term(o, self._ordinal(o.expression, cells) or translate(o.expression, context))
                for o in node.order_by
            ]
            return f'select * from ({sql}) as "ordered" order by {", ".join(terms)}'
        core = built[0]
        context = self.context(core.scope, aggregates=True)
        terms = []
        for order in node.order_by:
            value = self._ordinal(order.expression, core.values) or self._alias(order.expression, core)
            terms.append(self._term(order, value or translate(order.expression, context)))
        return f"{sql} order by {', '.join(terms)}"

    @staticmethod
    def _alias(expression: Expr, core: _Built) -> Value | None:
        """ORDER BY knows result names before columns."""
        if isinstance(expression, Ref) and len(expression.parts) == 1:
            return core.scope.aliases.get(expression.name.lower())
        return None

    def _term(self, order: Order, value: Value) -> str:
        if value.sort in (Sort.MIXED, Sort.OPAQUE) or (value.sort is Sort.TEXT and self._utf16):
            raise Untranslatable("ORDER BY values whose order differs")
        sql = value.sql
        if value.sort is Sort.TEXT:
            sql = f"{folded(sql, value.collation or 'BINARY')} {C}"
        nulls = order.nulls or ("last" if order.desc else "first")
        return f"{sql}{' desc' if order.desc else ''} nulls {nulls}"

    def _limit(self, node: Select) -> str:
        made = ""
        for word, expression in (("limit", node.limit), ("offset", node.offset)):
            if expression is None:
                continue
            value = translate(expression, self.context(Scope()))
            if not isinstance(value.constant, int):
                raise Untranslatable("a LIMIT that isn't constant")
            if value.constant >= 0:
                made += f" {word} {value.constant}"
        return made


def _unique(names: list[str]) -> tuple[str, ...]:
    """SQLite's own way to tell result columns of the same name apart."""
    taken: set[str] = set()
    made = []
    for name in names:
        unique, count = name, 0
        while unique.lower() in taken:
            count += 1
            unique = f"{name}:{count}"
        taken.add(unique.lower())
        made.append(unique)
    return tuple(made)


def _refuse_bare_columns(core: Core) -> None:
    """SQLite lets a result name a column that is neither grouped nor aggregated; PostgreSQL doesn't."""
    expressions = [r.expression for r in core.results if r.expression is not None]
    grouped = bool(core.group_by) or any(_aggregates(e) for e in expressions)
    if not grouped:
        return
    aliases = {r.alias.lower(): r.expression for r in core.results if r.alias}
    keys = list(core.group_by)
    for key in core.group_by:
        if isinstance(key, Literal) and isinstance(key.value, int) and 1 <= key.value <= len(expressions):
            keys.append(expressions[key.value - 1])
        if isinstance(key, Ref) and len(key.parts) == 1 and key.name.lower() in aliases:
            keys.append(aliases[key.name.lower()] or key)
    if any(r.expression is None for r in core.results) or not all(_settled(e, keys) for e in expressions):
        raise Untranslatable("a column that is neither grouped nor aggregated")


def _aggregates(expression: object) -> bool:
    if isinstance(expression, Call) and expression.name in AGGREGATES and _is_aggregate(expression):
        return True
    if isinstance(expression, Select):
        return False  # its aggregates are its own
    return any(_aggregates(part) for part in _parts(expression))


def _is_aggregate(call: Call) -> bool:
    return call.star or len(call.args) == 1 or call.name not in ("min", "max")


def _settled(expression: object, keys: list[Expr]) -> bool:
    """Whether an expression is made of grouped expressions, aggregates and constants."""
    if any(_same(expression, key) for key in keys):
        return True
    if isinstance(expression, Call) and expression.name in AGGREGATES and _is_aggregate(expression):
        return True
    if isinstance(expression, Ref | Select):
        return False
    return all(_settled(part, keys) for part in _parts(expression))


def _same(expression: object, key: Expr) -> bool:
    if isinstance(expression, Ref) and isinstance(key, Ref):
        return expression.name.lower() == key.name.lower()
    return expression == key


def _parts(node: object) -> list[object]:
    """The direct sub-nodes of a node."""
    if isinstance(node, tuple):
        return [p for p in node if not isinstance(p, str | int | float | bytes | None)]
    if not hasattr(node, "__dataclass_fields__") or isinstance(node, Literal | Ref):
        return []
    values = [getattr(node, name) for name in node.__dataclass_fields__]
    return [v for v in values if not isinstance(v, str | int | float | bytes | bool | None)]
