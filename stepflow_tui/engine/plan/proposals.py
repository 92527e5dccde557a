"""Better types that the rule doesn't choose by itself, each as the exact line under `types` that accepts it."""

from __future__ import annotations

import json
import re

from stepflow_tui.engine.model.schema import SourceColumn
from stepflow_tui.engine.model.types import ColumnType, EpochUnit, Kind
from stepflow_tui.engine.plan.declared import Ask, parse
from stepflow_tui.engine.plan.profile import Profile, Shape, epoch_unit

_TIME_NAME = re.compile(
    r"(?i)(^|_)(at|on|date|time|timestamp|datetime|ts|created|updated|modified|deleted|expires?|expiry|visited|since|until|epoch)(_|$)"
    r"|(date|time|timestamp|visited)(_?(ms|us|s))?$|[a-z](At|On|Date|Time)$"
)
_MONEY_NAME = re.compile(r"(?i)(price|amount|total|cost|balance|fee|tax|salary)")
_FLAG_NAME = re.compile(
    r"(?i)^(is|has|can|should|was)_|^(is|has|can)[A-Z]|^(active|enabled|deleted|hidden|visible|archived)$"
)
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})


def propose(table: str, column: SourceColumn, chosen: ColumnType, profile: Profile) -> str:
    """The `types` line that would give the column a better type, "" when there is none.

    Args:
        chosen: the type the rule chose.
        profile: the column's values; a sample is enough, for the census counts again once the line is there.
    """
    if not profile.values:
        return ""
    unit = _unit(column, chosen, profile)
    if unit is not None:
        return _line("dates", table, column.name, unit.value)
    target = _target(column, chosen, profile)
    return _line("by_column", table, column.name, target) if target else ""


def _unit(column: SourceColumn, chosen: ColumnType, profile: Profile) -> EpochUnit | None:
    numbers = chosen.kind in (Kind.INTEGER, Kind.REAL) or (chosen.kind is Kind.MIXED_TEXT and not profile.texts)
    if not numbers or profile.low is None or profile.high is None:
        return None
    asked = parse(column.declared).ask in (Ask.TIMESTAMP, Ask.TIMESTAMPTZ, Ask.DATE)
    if not asked and not _TIME_NAME.search(column.name):
        return None
    if chosen.kind is Kind.INTEGER:
        webkit = profile.low >= 12_000_000_000_000_000 and profile.high <= 14_000_000_000_000_000  # 1981 to 2044
        return EpochUnit.WEBKIT if webkit else epoch_unit(profile.low, profile.high)
    if profile.low >= 2_400_000 and profile.high <= 2_500_000:  # 1858 to 2132
        return EpochUnit.JULIAN
    return EpochUnit.COCOA if profile.low >= 100_000_000 and profile.high <= 1_000_000_000 else None  # 2004 to 2032


def _target(column: SourceColumn, chosen: ColumnType, profile: Profile) -> str:
    ask = parse(column.declared).ask
    if chosen.kind is Kind.TEXT:
        return _for_text(ask, profile)
    if chosen.kind is Kind.INTEGER and profile.booleans == profile.values and _FLAG_NAME.search(column.name):
        return "boolean"
    if (
        chosen.kind is Kind.REAL
        and profile.scale is not None
        and profile.scale <= 2
        and _MONEY_NAME.search(column.name)
    ):
        return "numeric(15,2)"
    if chosen.kind is Kind.MIXED_TEXT and not profile.texts and _doubles(profile):
        return "double precision"
    return ""


def _doubles(profile: Profile) -> bool:
    """Whether every integer is one that a double holds."""
    return all(v is not None and abs(v) <= 2**53 for v in (profile.low, profile.high)) or not profile.integers


def _for_text(ask: Ask, profile: Profile) -> str:
    shapes = {
        Shape.UUID: "uuid",
        Shape.OFFSET: "timestamp with time zone",
        Shape.TIME: "time" if ask is Ask.TIME else "",
    }
    if profile.shape is Shape.JSON:
        return "jsonb" if ask is Ask.JSONB else "json"
    if profile.shape in shapes:
        return shapes[profile.shape]
    if profile.form is not None and profile.forms[profile.form] == profile.values:
        return "timestamp"
    return "date" if profile.dates == profile.values else ""


def _line(section: str, table: str, column: str, value: str) -> str:
    return f"types: {{{section}: {{{_yaml(table)}: {{{_yaml(column)}: {_yaml(value)}}}}}}}"


def _yaml(text: str) -> str:
    """A YAML flow scalar that reads back as this very text."""
    plain = _BARE.fullmatch(text) and text.lower() not in _YAML_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
