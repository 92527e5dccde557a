"""The plan's hash: source schema, types, DDL, steps and plan-relevant config. No counts, times, paths."""

from __future__ import annotations

import hashlib
from typing import Any

from stepflow_tui.engine.config import plan_relevant
from stepflow_tui.engine.model.codec import dumps, from_plain, to_plain
from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.plan import Plan, Stage
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.types import ColumnType


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(dumps(value).encode("utf-8", "surrogatepass")).hexdigest()


def schema_hash(schema: SourceSchema) -> str:
    """What the catalog says, without sizes, counters and numbers given out."""
    plain = to_plain(schema)
    kept = {k: plain[k] for k in ("encoding", "tables", "views", "triggers", "user_version", "application_id")}
    for table in kept["tables"]:
        table.pop("sequence")
    return digest(kept)


def config_hash(config: Config) -> str:
    """The plan-relevant keys of the config."""
    return digest(plan_relevant(config))


def plan_hash(plan: Plan) -> str:
    """The hash of a plan whose `hash` is still empty. Statements that set sequences hold numbers from the source: only
    their ids count."""
    tables = [_table(to_plain(t), live=plan.mode == Mode.LIVE.value) for t in plan.tables]
    return digest(
        {
            "kind": plan.kind,
            "mode": plan.mode,
            "schema": plan.schema_hash,
            "config": plan.config_hash,
            "encoding": plan.encoding,
            "tables": tables,
            "statements": [[s.id, "" if s.stage is Stage.SEQUENCE else s.sql] for s in plan.statements],
            "phases": to_plain(plan.phases),
        }
    )


def _table(table: dict[str, Any], *, live: bool) -> dict[str, Any]:
    """What only live runs have counts there alone, so that plans made before they came keep their hash."""
    only = {k: v for k in ("live_key", "uncapturable") if (v := table.pop(k))}
    return table | {"columns": [_column(c, live=live) for c in table["columns"]]} | only


def _column(column: dict[str, Any], *, live: bool) -> dict[str, Any]:
    """While the application writes, the scale of an unbounded number follows its values; the target's column doesn't."""
    kept = {k: v for k, v in column.items() if k != "reason"}
    if live and from_plain(ColumnType, column["type"]).unbounded:
        kept["type"] = {k: v for k, v in column["type"].items() if k != "scale"}
    return kept
