"""The YAML reader: nothing is guessed, nothing explodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.config_yaml import MAX_DEPTH, dotted, parse


def texts(data: bytes) -> list[str]:
    return [f"{p.line}:{p.keys}:{p.text}" for p in parse(data).problems]


def test_scalars_stay_text() -> None:
    document = parse(b"a: NO\nb: 012\nc: 1:30\nd: 1e3\ne: ~\nf: 'null'\ng: 2026-01-01\nh: 0x1F\ni: .inf\n")
    assert document.root == {
        "a": "NO", "b": "012", "c": "1:30", "d": "1e3", "e": None, "f": "null", "g": "2026-01-01", "h": "0x1F", "i": ".inf",
    }  # fmt: skip
    assert document.problems == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\nb: 2\na: 3\n", "3:a:given twice, first in line 1"),
        (b"a: {b: 1, b: 2}\n", "1:a.b:given twice, first in line 1"),
        (b"a: !!python/object/apply:os.system [ls]\n", "1:a:a tag (`!`)"),
        (b"a: !x 1\n", "1:a:a tag (`!`)"),
        (b"a: &x 1\nb: *x\n", "1:a:an anchor (`&`)"),
        (b"a: 1\n\tb: 2\n", "2::a tab in the indentation"),
        (b"a:\n\tb: 2\n", "2::a tab in the indentation"),
        (b"a: 1\n---\nb: 2\n", "2::a second document"),
        (b"a: 1\n? [x]\n: 2\n", "2::a key that isn't plain text"),
        (b"a: 1\nb: \xff\n", "2::the text isn't UTF-8"),
        (b"a: 1\nb: \x01\n", "2::the character U+0001 isn't allowed"),
        (b"a: 'x\n", "2::not valid YAML: found unexpected end of stream"),
    ],
)
def test_what_is_refused(data: bytes, expected: str) -> None:
    assert expected in texts(data)


def test_alias_bombs_and_deep_nesting_end_at_once() -> None:
    bomb = b"a: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (c + 1, c + 1, c, c) for c in range(97, 118))
    assert any("an alias" in t for t in texts(bomb))
    deep = parse(b"a: " + b"[" * 20_000)
    assert [p.text for p in deep.problems] == ["nested too deeply"]
    assert deep.root is None
    assert any("nested too deeply" in t for t in texts(b"{a: " * 20_000))


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse(b"a: " + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)).problems == []


def test_lines_are_those_of_the_keys() -> None:
    document = parse(b"a:\n  b:\n    - x\n    - y: 1\n")
    assert document.line(("a", "b", 1, "y")) == 4
    assert document.line(("a", "b", 1, "missing")) == 4
    assert dotted(("a", "b", 1, "y")) == "a.b[1].y"


def test_hostile_keys_are_shown_harmlessly() -> None:
    assert "\x1b" not in dotted(("a", "b\x1b[2J"))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_problems(data: bytes) -> None:
    document = parse(data)
    assert document.problems or document.root is None or isinstance(document.root, (dict, list, str))


@given(st.text(alphabet="ab:-[]{}&*!'\"#|>%@,? \n\t~$", max_size=60))
def test_any_yaml_like_text_gives_a_document_or_problems(text: str) -> None:
    document = parse(text.encode())
    assert all(p.line >= 1 and p.hint for p in document.problems)
