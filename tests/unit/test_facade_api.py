"""The facade's names resolve to functions and classes, whatever subpackages were imported before."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from stepflow_tui.engine import api
from stepflow_tui.facade import Facade

NAMES = sorted(n for n in vars(Facade) if not n.startswith("_"))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_the_command_line_uses_is_there_and_callable(name: str) -> None:
    for package in ("plan", "verify", "report", "alerts"):
        import_module(f"stepflow_tui.engine.{package}")
    found = getattr(api, name)
    assert callable(found)
    assert not inspect.ismodule(found)


def test_it_has_no_name_that_nobody_asks_for() -> None:
    assert sorted(dir(api)) == NAMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="frobnicate"):
        _ = api.frobnicate
