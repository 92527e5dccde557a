"""Loaded by every process of a run whose PYTHONPATH begins with this folder: the copy without its guard.

Segments are not marked done in the transaction that writes their rows. A test that kills such a run and resumes it must
notice rows that arrived twice; if it doesn't, it proves nothing about the copy with its guard.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

LEDGER = "stepflow_tui.engine.postgres.ledger"
FORGETFUL = "update _stepflow.ledger set rows = $4, rejected = $5 where run = $1 and segment = $2 and epoch = $3"


class _Loader(importlib.abc.Loader):
    def __init__(self, inner: importlib.abc.Loader) -> None:
        self._inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        assert "state = 'done'" in module.FINISH_SQL
        module.FINISH_SQL = FORGETFUL  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != LEDGER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader = _Loader(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
