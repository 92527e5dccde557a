"""Names and values that would like to be markup, commands of a terminal or lines of ours are shown as text."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from html.parser import HTMLParser

from stepflow_tui.engine.plan.quote import lite_ident
from tests.acceptance.harness import Ran, Stand

ESCAPES = "\x1b[31mred\x1b]52;c;aGFjaw==\x07\x9b2J\x08\x7f"
BIDI = "abc\u202edcba\u2066x\u200f"
MARKUP = "[red]bold[/] [link=x]`code`**b**_i_ <script>alert(1)</script> | x |&lt;b&gt; ~~s~~ $m$ ![i](u)"
LINES = "two\nequal         users → public.users\r\n# heading\n\t- item"
LONG = "long" * 2_500

HOSTILE = (ESCAPES, BIDI, MARKUP, LINES, LONG)
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def make(stand: Stand) -> None:
    """Tables, columns and values of that sort; every table has a row that is refused and one that will differ."""
    with contextlib.closing(sqlite3.connect(stand.source)) as db:
        for name in HOSTILE:
            column = lite_ident(f"c {name}")
            db.execute(f"create table {lite_ident(name)}(id integer primary key, {column} text)")
            rows = [(1, name), (2, f"{name}\0"), (3, name)]
            db.executemany(f"insert into {lite_ident(name)} values(?, ?)", rows)
        db.execute("create table users(id integer primary key, remark text)")
        db.executemany("insert into users values(?, ?)", [(n, text) for n, text in enumerate(HOSTILE)])
        db.commit()


def change(stand: Stand) -> None:
    """Make the target differ, by another hostile value."""
    names = stand.sql(
        "select quote_ident(relname) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    for (name,) in names:
        column = stand.sql(
            "select quote_ident(attname) from pg_attribute where attrelid = $$" + name + "$$::regclass and attnum = 2"
        )[0][0]
        stand.sql(f"update {name} set {column} = E'\\x1b[2Jx\\ny' where id = 3", "select 1")


def looks(stand: Stand) -> list[Ran]:
    """Everything that shows names and values as text."""
    config = str(stand.config_path)
    calls = (
        ("check", config), ("plan", config), ("plan", config, "--sql"), ("verify", config, "--repair", "plan"),
        ("status", stand.name), ("attach", stand.name, "--no-follow"), ("attach", stand.name, "--no-follow", "--plain"),
        ("report", stand.name), ("report", stand.name, "--html"), ("runs",), ("audit", "show", stand.name), ("backups", "list"),
        ("reveal", stand.name, "users", "remark", "--key", '{"id": 3}', "--yes", "--confirm", stand.name),
        ("reveal", stand.name, MARKUP + LINES, "remark", "--key", '{"id": 3}', "--yes", "--confirm", stand.name),
        ("run", config, "--yes", "--new", "--plain"),
    )  # fmt: skip
    return [stand.cli(*call) for call in calls]


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attrs)}


def test_nothing_is_interpreted(stand: Stand) -> None:
    make(stand)
    assert stand.run("--until", "validate").code == 0
    change(stand)
    assert stand.run().code == 5
    said = looks(stand)
    for number, ran in enumerate(said):
        for text in (ran.out, ran.err):
            assert FORBIDDEN.search(text) is None, f"output {number}"
    assert said[13].code == 2, "an unknown table, named in the error"
    for ran in said[3:7]:
        assert not [
            line
            for line in ran.out.splitlines()
            if line.startswith(("# heading", "- item", "equal         users → public.users\r"))
        ]
    equal = [line for line in said[3].out.splitlines() if line.startswith("equal ")]
    assert equal == [], "a line break in a name makes no line"
    markdown = (stand.runs[0] / "report.md").read_text()
    assert FORBIDDEN.search(markdown) is None
    outside = re.sub(r"(?s)(`{3,}).*?\1", "", markdown)
    assert "<script" not in outside.replace("\\<script", "")
    assert not re.search(r"(?m)^(# heading|\s*- item)", outside)
    cells = {line.count(" | ") for line in outside.splitlines() if line.startswith("| ") and "users" in line}
    assert cells
    page = Tags((stand.runs[0] / "report.html").read_text())
    assert page.names.isdisjoint({"script", "b&gt;", "link", "img", "a", "onerror"})
