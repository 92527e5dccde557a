"""config.example.yaml loads, and names every key of the schema."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.config_problems import schema_paths

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def test_the_example_loads() -> None:
    loaded = load_config(EXAMPLE, {"DATABASE_URL": "postgresql://u:p@h/d"})
    assert loaded.config.name == "shop"
    assert loaded.config.source.path == EXAMPLE.parent / "shop.db"


def test_every_key_of_the_schema_stands_in_the_example() -> None:
    # commented keys count: a recipe has one kind only, but every kind's key is explained
    text = re.sub(r"^(\s*)# (?=[a-z_]+: )", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    data = yaml.safe_load(text)
    # the groups of a checklist, both sides of a hook, and a probe's requests have the same keys: shown once
    same = r"^(checklist|hooks)\.\w+\.(?=\w)"
    shown = {
        re.sub(same, r"\1.before.", re.sub(r"probes\.(read|delete)\.", "probes.create.", p)) for p in schema_paths()
    }
    assert sorted(path for path in shown if not _present(data, path.split("."))) == []


def _present(node: object, keys: list[str]) -> bool:
    if not keys:
        return True
    if isinstance(node, list):
        return any(_present(item, keys) for item in node)
    if not isinstance(node, dict):
        return False
    if keys[0] in node:
        return _present(node[keys[0]], keys[1:])
    # a mapping by free names, such as hooks by phase
    return any(isinstance(value, (dict, list)) and _present(value, keys) for value in node.values())
