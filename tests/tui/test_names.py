"""No class of the wizard overrides a private method of Textual's by accident: `_detach`, say, runs when a screen closes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import screens

MEANT = frozenset({"_handle_exception"})
"""Private methods that are overridden on purpose."""


def classes() -> Iterator[type]:
    """Every class of the wizard."""
    for module in pkgutil.walk_packages(screens.__path__, "screens."):
        for _name, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if found.__module__ == module.name:
                yield found


def taken(found: type) -> Iterator[str]:
    """Private methods and properties that hide one of Textual's."""
    bases = [base for base in found.__mro__[1:] if base.__module__.startswith("textual")]
    for name, value in vars(found).items():
        ours = inspect.isfunction(value) or isinstance(value, property)
        if ours and name.startswith("_") and not name.startswith("__") and name not in MEANT:
            yield from (f"{found.__module__}.{found.__name__}.{name}" for base in bases[:1] if hasattr(base, name))


def test_no_private_method_of_textuals_is_hidden() -> None:
    assert sorted({clash for found in classes() for clash in taken(found)}) == []
