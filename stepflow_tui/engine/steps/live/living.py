"""The catalog of the application's file as it is now."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import open_living
from stepflow_tui.engine.sqlite.mapping import sqlite_errors


def living_schema(path: Path) -> SourceSchema:
    """What it says; blocking."""
    with sqlite_errors(f"Reading the catalog of {path}"), closing(open_living(path)) as opened:
        return read_schema(opened)
