"""Rules that hold for every source file, read with `ast`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepflow_tui.engine import errors
from stepflow_tui.engine.texts import findings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "stepflow_tui"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ENGINE = [p for p in SOURCES if p.is_relative_to(PACKAGE / "engine")]

WRITERS = {"cli/output.py": "stdout", "cli/diagnostics.py": "stderr", "__main__.py": "stderr"}
"""Who may write to a standard stream. The engine process has its own start line and log."""

MAX_LINES = 600
MAX_FUNCTION_LINES = 80


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_size_and_docstring(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES
    module = tree(path)
    assert ast.get_docstring(module), "the module's docstring says what it owns"
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


def test_the_median_module_is_short() -> None:
    sizes = sorted(p.read_text(encoding="utf-8").count("\n") for p in SOURCES)
    assert sizes[len(sizes) // 2] < 150


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_streams_have_one_writer_each(path: Path) -> None:
    allowed = WRITERS.get(name(path))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"print in line {node.lineno}"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("write", "writelines")
        ):
            stream = node.func.value
            if isinstance(stream, ast.Attribute) and stream.attr in ("stdout", "stderr"):
                assert stream.attr == allowed or name(path).startswith("engine/"), f"line {node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_click_and_no_leftovers(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) click\b", text, re.MULTILINE)
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
    assert "pickle" not in re.sub(r'"""(?s:.*?)"""', "", text), "values cross borders as JSON"


@pytest.mark.parametrize("path", ENGINE, ids=name)
def test_no_error_is_swallowed(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"
            broad = isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            silent = all(isinstance(line, (ast.Pass, ast.Continue)) for line in node.body)
            assert not (broad and silent), f"line {node.lineno}"


def used_codes() -> Iterator[tuple[str, str]]:
    """Every finding code written as a literal in the engine."""
    for path in ENGINE:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            called = (
                node.func.id
                if isinstance(node.func, ast.Name)
                else node.func.attr
                if isinstance(node.func, ast.Attribute)
                else ""
            )
            if called in ("blocking", "warning", "info") and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value), name(path)
            if called == "Finding":
                yield from (
                    (str(k.value.value), name(path))
                    for k in node.keywords
                    if k.arg == "code" and isinstance(k.value, ast.Constant)
                )


def test_every_finding_has_words() -> None:
    known = findings()
    assert sorted({f"{code} in {where}" for code, where in used_codes() if code not in known}) == []


@pytest.mark.parametrize("code", sorted(findings()))
def test_words_are_whole_sentences_with_named_parameters(code: str) -> None:
    words = findings()[code]
    for text in (words.what, words.why, words.fix):
        assert text.strip(), "what, why and fix are all said"
        assert "{}" not in text
        assert "%s" not in text
        text.format_map(dict.fromkeys(re.findall(r"\{(\w+)", text), "x"))


ERRORS = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.StepFlowError)]


@pytest.mark.parametrize("cls", ERRORS, ids=lambda c: c.__name__)
def test_every_error_has_hint_code_and_exit_code(cls: type[errors.StepFlowError]) -> None:
    error = cls("What happened.", detail="seen")
    assert error.hint
    assert re.fullmatch(r"[a-z_]+", error.code)
    assert isinstance(error.exit_code, errors.ExitCode)
    assert str(error).splitlines()[-1].startswith("HINT: ")
    assert "{}" not in str(error)
    assert cls is errors.StepFlowError or "default_code" in vars(cls), "a class of its own has a code of its own"


# A name that is put into SQL text must have been quoted, or be one of our own words.
SQL_START = re.compile(
    r"^\s*(select|insert into|update|delete from|create|drop|alter|truncate|copy|grant|revoke|lock table)\s",
    re.IGNORECASE,
)
RAW_NAMES = re.compile(
    r"^(table|column|schema|name|index|view|trigger|database)(_name)?$|\.(source|target|name|schema|column)$"
)


QUOTING = re.compile(r"\b(pg_ident|pg_name|pg_literal|lite_ident|lite_literal|qualified|quoted?)\b|\bq\(")

OWN_NAMES = {
    "engine/sqlite/sample.py": "the demo's own tables",
    "engine/journal/facts.py": "the journal's own tables",
}
"""Files whose names are constants of ours."""


QUOTED_FIELDS = {"action.target": "a repair action holds its target's name quoted"}


def quoted_names(function: ast.AST) -> set[str]:
    """Local names that hold something quoted, or a word of ours out of a literal list."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and QUOTING.search(ast.unparse(node.value)):
            found |= {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        if isinstance(node, (ast.For, ast.comprehension)):
            text = ast.unparse(node.iter)
            literal = isinstance(node.iter, (ast.Tuple, ast.List)) and all(
                isinstance(e, ast.Constant) for e in node.iter.elts
            )
            if literal or QUOTING.search(text):
                found |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
    return found


def unquoted(path: Path) -> Iterator[str]:
    """SQL f-strings with a raw name in them."""
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in functions:
        fine = quoted_names(function)
        labels = {
            id(a)
            for n in ast.walk(function)
            if isinstance(n, ast.Call) and ast.unparse(n.func) == "pg_errors"
            for a in n.args
        }
        for node in ast.walk(function):
            if (
                id(node) in labels
                or not isinstance(node, ast.JoinedStr)
                or not isinstance(node.values[0], ast.Constant)
            ):
                continue
            if not SQL_START.match(str(node.values[0].value)):
                continue
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    source = ast.unparse(part.value)
                    if RAW_NAMES.search(source) and source not in fine | QUOTED_FIELDS.keys() and part.conversion == -1:
                        yield f"line {node.lineno}: {{{source}}}"


@pytest.mark.parametrize("path", ENGINE, ids=name)
def test_names_reach_sql_only_through_the_quoting_functions(path: Path) -> None:
    if name(path) not in OWN_NAMES:
        assert sorted(set(unquoted(path))) == []
