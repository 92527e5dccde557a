"""Texts of the front ends go through the catalog: what a person reads is never a bare literal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import texts as tool

ROOT = Path(__file__).parents[2]
FRONT_ENDS = ("screens/", "stepflow_tui/cli/", "stepflow_tui/render/", "stepflow_tui/app.py", "stepflow_tui/bridge.py")

SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:.]? [A-Za-z]{2,}")
"""Two words with a blank between them."""
STYLE = re.compile(r"((not )?(bold|italic|dim|reverse|underline|strike|blink|default|on|[a-z]+)\b ?)+")
"""A style of Rich: `bold red`."""
COMMAND = re.compile(r"stepflow [a-z-]+( [a-z]+)?( \{\d\}| --[a-z-]+( [A-Z][\w.]*)?)*")
"""A command to type."""
SELECTOR = re.compile(r"[A-Z]\w+(, [A-Z]\w+)+|#[\w-]+ [A-Z]\w+")
"""Widgets in a CSS selector."""
STYLE_WORDS = ("bold", "italic", "dim", "reverse", "underline", "strike")

BARE = {
    "--source FILE": "an option to pass",
    "--note TEXT": "an option to pass",
    "--reason TEXT": "an option to pass",
    "KIND, such as `stepflow init sqlite-to-postgres`": "an argument to pass",
    " not null": "SQL",
    "  NOT NULL": "SQL",
    " generated as {0}": "SQL",
    "  GENERATED AS {0}": "SQL",
    "control was not renewed: {0}": "goes into a log, for developers",
    "the pattern takes any text": "an assertion",
    r".*: the variable (\w+) (?:isn't set|is empty) \(.*\)": "finds a sentence of the config's reader",
}
"""Literals that are not translated, each with its reason."""

WIDGETS = ("Static", "Label", "Button", "Checkbox", "RadioButton", "Value")
SHOWN = (*WIDGETS, "notify", "emit_text", "say", "ask", "ask_yes", "emit_block")
"""Calls whose first argument a person reads."""
SHOWN_KEYWORDS = ("placeholder", "border_title", "border_subtitle", "tooltip")


def front_ends() -> list[Path]:
    return [p for p in tool.sources() if p.relative_to(ROOT).as_posix().startswith(FRONT_ENDS)]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def bare_sentences(path: Path, known: tool.Texts) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plurals = {text.plural for text in known.values()}
    css = {id(n) for node in ast.walk(tree) if _is_css(node) for n in ast.walk(node)}
    for text, node in tool.literals(tree):
        if id(node) in css or text in known or text in plurals or text in BARE or not SENTENCE.search(text):
            continue
        if COMMAND.fullmatch(text) or SELECTOR.fullmatch(text):
            continue
        if STYLE.fullmatch(text) and text.split()[0] in (*STYLE_WORDS, "not"):
            continue
        yield f"{name(path)}:{node.lineno}: {text}"


def _is_css(node: ast.AST) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(t, ast.Name) and "CSS" in t.id for t in targets)


def test_no_sentence_is_a_bare_literal() -> None:
    known = tool.collect()
    assert [line for path in front_ends() for line in bare_sentences(path, known)] == []


def bare_labels(path: Path) -> Iterator[str]:
    """Literals handed straight to a widget or a printer, single words too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            shown = node.args[:1] if called in SHOWN else []
            shown += [k.value for k in node.keywords if k.arg in SHOWN_KEYWORDS]
        elif isinstance(node, ast.Assign) and any(getattr(t, "attr", "") in SHOWN_KEYWORDS for t in node.targets):
            shown = [node.value]
        else:
            continue
        for value in shown:
            text = tool.template(value)
            if text and re.search("[A-Za-z]{3,}", re.sub(r"\{\w*\}", "", text)) and text not in NAMES:
                yield f"{name(path)}:{node.lineno}: {text}"


NAMES = ("stepflow {0}", "  {0} (stepflow {1})")
"""Names that are the same in every language."""


@pytest.mark.parametrize("path", front_ends(), ids=name)
def test_no_label_is_a_bare_literal(path: Path) -> None:
    assert list(bare_labels(path)) == []


def test_the_allowed_literals_are_still_there() -> None:
    found = {
        text for path in front_ends() for text, _node in tool.literals(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert sorted(set(BARE) - found) == []
