"""Loaded by every process of a run whose PYTHONPATH begins with this folder: the tail doesn't look whether capture is whole.

A test that disturbs capture must then see rows differ; if it doesn't, it proves nothing about the guard.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from stepflow_tui.engine.live import tail_source
from stepflow_tui.engine.model.live import Installed


def _nothing(conn: sqlite3.Connection, installed: Installed, path: Path, *, applied: int = 0) -> int:
    return applied


tail_source.guard = _nothing
