"""Do the tables, columns and declared types under `types`, `verify.rules` and `sensitive` exist?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.checks.nearest import nearest
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.model.schema import SourceSchema


async def run(ctx: CheckContext) -> list[Finding]:
    """Every name is looked up as SQLite does, upper and lower case being one."""
    assert ctx.schema is not None
    types, schema = ctx.config.types, ctx.schema
    found = [*_columns("types.by_column", types.by_column, schema), *_columns("types.dates", types.dates, schema)]
    rules = {t: (*rule.exclude, *rule.tolerance) for t, rule in ctx.config.verify.rules.items()}
    found += _columns("verify.rules", rules, schema)
    found += _of_keys(rules, schema) if ctx.config.mode is Mode.LIVE else []
    # a misspelt name would leave a column in the open
    found += _columns("sensitive", ctx.config.sensitive, schema)
    declared = {_folded(c.declared): c.declared for t in schema.tables for c in t.columns if c.declared}
    for name in types.by_type:
        if _folded(name) not in declared and not any(d.partition("(")[0].strip() == _folded(name) for d in declared):
            found.append(
                blocking("config_unknown_type", "types.by_type", name=name, nearest=nearest(name, declared.values()))
            )
    return found


def _of_keys(rules: Mapping[str, Iterable[str]], schema: SourceSchema) -> list[Finding]:
    """Rules for columns of a primary key. (Where a table has another key, the proof itself refuses them.)"""
    found = []
    for name, columns in rules.items():
        with suppress(KeyError):
            table = schema.table(name)
            keys = {key.lower() for key in table.primary_key}
            found += [
                blocking("config_rule_of_key", f"{table.name}.{c}", table=table.name, column=c)
                for c in dict.fromkeys(columns)
                if c.lower() in keys
            ]
    return found


def _folded(declared: str) -> str:
    return " ".join(declared.lower().split())


def _columns(key: str, named: Mapping[str, Iterable[str]], schema: SourceSchema) -> list[Finding]:
    found = []
    for table_name, columns in named.items():
        try:
            table = schema.table(table_name)
        except KeyError:
            near = nearest(table_name, (t.name for t in schema.tables))
            found.append(blocking("config_unknown_table", key, key=key, name=table_name, nearest=near))
            continue
        known = {c.name.lower() for c in table.columns}
        for column in columns:
            if column.lower() not in known:
                near = nearest(column, (c.name for c in table.columns))
                found.append(
                    blocking("config_unknown_column", key, key=key, table=table.name, column=column, nearest=near)
                )
    return found
