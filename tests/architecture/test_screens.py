"""Rules for the wizard's sources: small files and classes, everything explained, work in the background never unheard."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.screen import Screen

from screens.modals.base import Dialog
from screens.panels.base import Panel
from screens.run import RunScreen

ROOT = Path(__file__).parents[2]
SCREENS = sorted((ROOT / "screens").rglob("*.py"))
FRONT = [
    *SCREENS,
    *(p for p in sorted((ROOT / "stepflow_tui").rglob("*.py")) if not p.is_relative_to(ROOT / "stepflow_tui" / "engine")),
]  # fmt: skip

MAX_LINES = 400
MAX_APP_LINES = 200
MAX_METHODS = 20

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))


def is_protocol(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def unexplained(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    """Public classes and functions without a docstring."""
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        accessor = any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in node.decorator_list)
        if not ast.get_docstring(node) and not accessor:
            yield within + node.name
        if isinstance(node, ast.ClassDef) and not is_protocol(node):
            yield from unexplained(node.body, f"{node.name}.")


@pytest.mark.parametrize("path", SCREENS, ids=name)
def test_files_are_short(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= MAX_LINES


def test_the_app_is_short() -> None:
    assert (ROOT / "stepflow_tui" / "app.py").read_text(encoding="utf-8").count("\n") <= MAX_APP_LINES


@pytest.mark.parametrize("path", FRONT, ids=name)
def test_classes_do_one_thing(path: Path) -> None:
    sizes = {c.name: sum(isinstance(n, Function) for n in c.body) for c in classes(path) if not is_protocol(c)}
    assert {c: size for c, size in sizes.items() if size > MAX_METHODS} == {}


@pytest.mark.parametrize("path", FRONT, ids=name)
def test_what_others_may_use_is_explained(path: Path) -> None:
    module = tree(path)
    assert ast.get_docstring(module)
    assert list(unexplained(module.body)) == []


@pytest.mark.parametrize("path", [*SCREENS, ROOT / "stepflow_tui" / "app.py"], ids=name)
def test_work_in_the_background_has_one_door(path: Path) -> None:
    """A worker of one's own would swallow its errors, or end the app."""
    if name(path) == "screens/widgets/guarded.py":
        return
    doors = {"run_worker", "create_task", "ensure_future"}
    used = {n.attr for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute)}
    used |= {n.id for n in ast.walk(tree(path)) if isinstance(n, ast.Name)}
    assert used & doors == set()


def shown() -> list[type[Any]]:
    """Screens and panels; dialogs say themselves what they are about."""
    for path in SCREENS:
        import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    ours = {c for base in (Screen, Panel) for c in heirs(base) if c.__module__.startswith("screens.")}
    return sorted(
        ours - heirs(Dialog) - heirs(CommandPalette),
        key=lambda c: c.__name__,
    )


def heirs(base: type[Any]) -> set[type[Any]]:
    """All subclasses."""
    return {heir for c in base.__subclasses__() for heir in (c, *heirs(c))}


@pytest.mark.parametrize("cls", [c for c in shown() if c.__subclasses__() == []], ids=lambda c: c.__name__)
def test_every_screen_and_panel_has_help(cls: type[Any]) -> None:
    if cls is not RunScreen:  # made of panels only: each says what it is about
        assert getattr(cls, "HELP", ""), "what `?` says about it"
