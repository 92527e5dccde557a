"""Random settings files: a change is refused, or read by others it says what was wanted and everything else as before."""

from __future__ import annotations

import configparser
import json
import keyword
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import tomlkit
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stepflow_tui.engine.application.settings_back import merged_back
from stepflow_tui.engine.application.settings_files import FORMATS, Unfit
from stepflow_tui.engine.application.settings_plan import Mark, proven
from stepflow_tui.engine.model.config_application import SwitchFormat

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,5}", fullmatch=True).filter(
    lambda n: n.lower() not in ("y", "n", "on", "off", "yes", "no", "true", "false", "null", "none")
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Co", "Cn")), max_size=12)
PLAIN = st.text(st.sampled_from("abcXYZ019_./:@%+=?&-,;#'\"$ \\{}[]()!*|<>~^`"), max_size=12)
WANTED = st.one_of(
    PLAIN, TEXTS, st.sampled_from(["true", "false", "5", "-1", "1.5", "null", "12:30", "0x1f", "1e3", "- a", "a: b"])
)
SCALARS = st.one_of(st.booleans(), st.integers(-9999, 9999), st.floats(-1e6, 1e6), PLAIN, TEXTS)
LEAVES = st.one_of(SCALARS, st.none())
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    inner = st.recursive(
        leaves,
        lambda kids: st.one_of(st.lists(kids, max_size=3), st.dictionaries(NAMES, kids, max_size=3)),
        max_leaves=6,
    )
    return st.dictionaries(NAMES, inner, min_size=1, max_size=4)


def ways(node: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    return [way] if pairs is None else [w for name, value in pairs for w in ways(value, (*way, name))]


def at(node: Any, way: tuple[Any, ...]) -> Any:
    for step in way:
        node = node[step]
    return node


def changed(form: SwitchFormat, text: str, key: str, wanted: str) -> str:
    """The text with the change, after what every change is held against; refused changes end the example."""
    this = FORMATS[form]
    try:
        splice = this.splice(text, key, wanted)
    except Unfit:
        assume(False)
    after = splice.apply(text)
    assume(proven(this, text, after, [splice]))
    assert after[: splice.start] == text[: splice.start]
    assert after[len(after) - (len(text) - splice.end) :] == text[splice.end :]
    mark = Mark(how="added" if splice.added else "set", key=key, new=splice.text if splice.added else "")
    if after != text:
        back = merged_back(after.encode(), text.encode(), after.encode(), form, [mark]).decode()
        # Where nothing was left between two blanks, one of them may change places.
        assert back == text if wanted.strip() else back.replace(" ", "") == text.replace(" ", "")
    return after


def check(form: SwitchFormat, read: Callable[[str], Any], text: str, data: st.DataObject) -> None:
    before = read(text)
    found = ways(before)
    assume(found)
    way = data.draw(st.sampled_from(found))
    wanted = data.draw(WANTED)
    after = read(changed(form, text, ".".join(str(s) for s in way), wanted))
    old, new = at(before, way), at(after, way)
    assert {w: repr(at(after, w)) for w in ways(after) if w != way} == {
        w: repr(at(before, w)) for w in found if w != way
    }
    if old is not None:
        assert type(new) is type(old)
    if isinstance(old, str):
        assert new == wanted
    elif isinstance(old, bool):
        assert new is (wanted.lower() in ("true", "yes", "on", "1"))
    elif isinstance(old, int | float):
        assert new == pytest.approx(float(wanted))


@SETTINGS
@given(tree=trees(LEAVES), data=st.data())
def test_yaml(tree: dict[str, Any], data: st.DataObject) -> None:
    text = yaml.safe_dump(
        tree, default_flow_style=data.draw(st.sampled_from([True, False, None])), allow_unicode=data.draw(st.booleans()),
        default_style=data.draw(st.sampled_from([None, None, '"', "'"])) if not _typed(tree) else None,
    )  # fmt: skip
    check(SwitchFormat.YAML, yaml.safe_load, _commented(text, data), data)


def _typed(tree: Any) -> bool:
    """Whether it holds more than text: written in quotes, that would carry tags."""
    return any(not isinstance(at(tree, w), str) for w in ways(tree))


def _commented(text: str, data: st.DataObject) -> str:
    return (
        data.draw(st.sampled_from(["", "# first\n", "\n\n"])) + text + data.draw(st.sampled_from(["", "# end", "\n"]))
    )


@SETTINGS
@given(tree=trees(LEAVES), data=st.data())
def test_json(tree: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(tree, indent=data.draw(st.sampled_from([None, 0, 2])), ensure_ascii=data.draw(st.booleans()))
    check(SwitchFormat.JSON, json.loads, text, data)


@SETTINGS
@given(tree=trees(SCALARS), data=st.data())
def test_toml(tree: dict[str, Any], data: st.DataObject) -> None:
    try:
        text = tomlkit.dumps(tree)
        assume(tomllib.loads(text) == tree)
    except (ValueError, TypeError):
        assume(False)
    check(SwitchFormat.TOML, tomllib.loads, _commented(text, data), data)


@SETTINGS
@given(tree=trees(LEAVES), data=st.data())
def test_python(tree: dict[str, Any], data: st.DataObject) -> None:
    assume(not any(keyword.iskeyword(name) for name in tree))
    lines = "".join(f"{name} = {value!r}{data.draw(st.sampled_from(['', '  # c']))}\n" for name, value in tree.items())

    def read(text: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(text, {"__builtins__": {}}, names)
        return names

    check(SwitchFormat.PYTHON, read, '"""Ünicode."""\n' + lines, data)


@SETTINGS
@given(
    values=st.dictionaries(NAMES.map(str.lower), st.dictionaries(NAMES.map(str.lower), PLAIN, max_size=3), min_size=1, max_size=3),
    sign=st.sampled_from(["=", " = ", ": "]), data=st.data(),
)  # fmt: skip
def test_ini(values: dict[str, dict[str, str]], sign: str, data: st.DataObject) -> None:
    text = "".join(f"[{s}]\n; c\n" + "".join(f"{n}{sign}{v}\n" for n, v in o.items()) + "\n" for s, o in values.items())

    def read(text: str) -> dict[str, dict[str, str]]:
        parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
        try:
            parser.read_string(text)
        except configparser.Error:
            assume(False)
        return {s: dict(parser[s]) for s in parser.sections()}

    before = read(text)
    section = data.draw(st.sampled_from(sorted(before)))
    name, wanted = data.draw(st.sampled_from([*before[section], "quite_new"])), data.draw(PLAIN)
    assume("%" not in text + wanted)
    after = read(changed(SwitchFormat.INI, text, f"{section}.{name}", wanted))
    was = before[section].get(name, "")
    quote = was[0] if len(was) > 1 and was[0] in "'\"" and was[-1] == was[0] else ""
    assert after[section].pop(name) == f"{quote}{wanted}{quote}"
    before[section].pop(name, None)
    assert after == before


@st.composite
def dotenv(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A file whose meaning is known by how it was made."""
    values: dict[str, str] = {}
    text = ""
    for name in draw(st.lists(NAMES, unique=True, min_size=1, max_size=5)):
        quote = draw(st.sampled_from(["", "'", '"']))
        value = draw(st.text(st.sampled_from("abc/:@=. #&" if quote else "abc/:@=."), max_size=8))
        value += draw(st.sampled_from(["", "\nB=1", "\n#"])) if quote else ""
        values[name] = value
        lead, comment = draw(st.sampled_from(["", "export ", "  "])), draw(st.sampled_from(["", " # A=1", "  "]))
        text += (
            draw(st.sampled_from(["", "# c\n", "\n", "rubbish\n"])) + f"{lead}{name}={quote}{value}{quote}{comment}\n"
        )
    return (text if draw(st.booleans()) else text[:-1]), values


@SETTINGS
@given(made=dotenv(), data=st.data())
def test_dotenv(made: tuple[str, dict[str, str]], data: st.DataObject) -> None:
    text, values = made

    def read(text: str) -> dict[str, str]:
        return {str(k[0]): v.removeprefix("str:") for k, v in FORMATS[SwitchFormat.DOTENV].facts(text).items()}

    assert read(text) == values
    name, wanted = data.draw(st.sampled_from([*values, "NEW"])), data.draw(WANTED)
    assert read(changed(SwitchFormat.DOTENV, text, name, wanted)) == values | {name: wanted}
