"""Loaded by every process of a run whose PYTHONPATH begins with this folder: the copy without its guard.

Rows of a segment are committed before their ledger row, which then follows in a transaction of its own. A test that kills
such a run in between and resumes it must notice rows that arrived twice; if it doesn't, it proves nothing about the guard.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

COPY = "stepflow_tui.engine.bulk.fast"


class _Loader(importlib.abc.Loader):
    def __init__(self, inner: importlib.abc.Loader) -> None:
        self._inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        finish = module._finish

        def unguarded(target: Any, order: Any, rows: int) -> None:
            target.commit()
            module.failpoint("rows_without_ledger")
            finish(target, order, rows)

        module._finish = unguarded


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != COPY:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader = _Loader(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
