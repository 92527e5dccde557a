"""Settings files of every format: one value changes, in the style it has, and not one other character."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.engine.application.settings import changed_lines, plan_edits
from stepflow_tui.engine.application.settings_files import FORMATS, format_of
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.config_application import SwitchFormat
from stepflow_tui.engine.model.secret_words import sounds_secret
from tests.settings_kit import PASSWORD, VALUES, edit, switch

DSN = f"postgresql://app:{PASSWORD}@db.internal:5432/shop?sslmode=require"
CHANGES: list[tuple[str, str, dict[str, str], str]] = [
    (".env", "# db\nA=1 # one\nB=2", {"A": "3"}, "# db\nA=3 # one\nB=2"),
    (".env", 'export A="x"  # c\n', {"A": "it's"}, 'export A="it\'s"  # c\n'),
    (".env", "export A=1\n", {"B": "x&y"}, "export A=1\nexport B='x&y'\n"),
    (".env", "A=1\r\nB=\r\n", {"B": "2", "C": "3"}, "A=1\r\nB=2\r\nC=3\r\n"),
    (".env", 'K="-----BEGIN\nA=no\n-----END"\nA=1', {"A": "2", "N": "5"}, 'K="-----BEGIN\nA=no\n-----END"\nA=2\nN=5'),
    (".env", "A= # nothing yet\n", {"A": "a b#c"}, "A='a b#c' # nothing yet\n"),
    (".env", "A=sqlite\nnot a line\n  B = 'x'\n", {"A": "{target_dsn}", "B": "y"}, f"A={DSN}\nnot a line\n  B = 'y'\n"),
    (".env", "A=old\n", {"A": "postgresql://h/x?a=1&b=2"}, "A='postgresql://h/x?a=1&b=2'\n"),
    (".env", "A=old\nB=http://h?x&y\n", {"A": "postgresql://h/x?a=1&b=2"}, "A=postgresql://h/x?a=1&b=2\nB=http://h?x&y\n"),
    (".env", "A=old\n", {"A": "~/shop.db"}, "A='~/shop.db'\n"),
    ("compose.yaml", "e:\n  - DSN=x # c\n  - \"N=1\"\n  - A\nv: 1\n", {"e.DSN": "{target_dsn}", "e.N": "2", "v": "3"},
     f"e:\n  - DSN={DSN} # c\n  - \"N=2\"\n  - A\nv: 3\n"),
    ("a.yaml", "on: yes # c\nb: 'x'\n", {"on": "false", "b": "5"}, "on: no # c\nb: '5'\n"),
    ("a.yml", "a: True\nn: 5432\nf: 1.5\ns: plain\n", {"a": "false", "n": "1", "f": "2.5", "s": "no"},
     "a: False\nn: 1\nf: 2.5\ns: 'no'\n"),
    ("a.yaml", "a:\n  - b: \"x\"\n    c: {d: 1, e: [x, y]}\n", {"a.0.b": 'q"', "a.0.c.d": "2", "a.0.c.e.1": "z,w"},
     "a:\n  - b: \"q\\\"\"\n    c: {d: 2, e: [x, 'z,w']}\n"),
    ("a.yaml", "d: {u: sqlite, n: 1}\nl: [a]\n", {"d.u": "{target_dsn}", "l.0": "x?y"}, f"d: {{u: '{DSN}', n: 1}}\nl: ['x?y']\n"),
    ("a.yaml", "a:\nb: !ENV ${X}\n# end", {"a": "{target_dsn}", "new": "12:30"}, f"a: {DSN}\nb: !ENV ${{X}}\n# end\nnew: '12:30'"),
    ("a.json", '{"a": {"b": [1, "x"]}, "ü": null}', {"a.b.1": "y", "ü": "z"}, '{"a": {"b": [1, "y"]}, "ü": "z"}'),
    ("a.json", '{\r\n  "a": true, // on\r\n  "b": {},\r\n}', {"a": "no", "b.c": "5", "d": "w"},
     '{\r\n  "a": false, // on\r\n  "b": {"c": 5},\r\n  "d": "w",\r\n}'),
    ("a.toml", "a = 'x' # c\n[t]\nn = 5 # n\n[[l]]\nk = \"v\"\n", {"a": "y", "t.n": "6", "l.0.k": "w", "t.new": "true"},
     "a = 'y' # c\n[t]\nn = 6 # n\nnew = true\n[[l]]\nk = \"w\"\n"),
    ("a.ini", "[a.b]\nurl = sqlite ; old\nN: 1\n[c]\nx=1", {"a.b.url": "pg", "a.b.n": "2", "a.b.new": "3", "c.y": "4"},
     "[a.b]\nurl = pg ; old\nN: 2\nnew = 3\n[c]\nx=1\ny = 4"),
    ("a.ini", "[a]\nx = %(y)s/b\nurl = a\ny = c%%d\n", {"a.url": "p%40q"}, "[a]\nx = %(y)s/b\nurl = p%%40q\ny = c%%d\n"),
    ("a.properties", "x.y=1\n! z\n", {"x.y": "2"}, "x.y=2\n! z\n"),
    ("a.properties", "x.y=1\n", {"x.y": "a\\\\b"}, "x.y=a\\\\b\n"),
    ("my.cnf", "[client]\nport = 3306\n", {"client.port": "5432"}, "[client]\nport = 5432\n"),
    ("a.py", "# ü\nÜ = 'ü'; USE = False  # f\nclass C:\n    N: int = -1\n", {"USE": "true", "C.N": "-2"},
     "# ü\nÜ = 'ü'; USE = True  # f\nclass C:\n    N: int = -2\n"),
    ("a.py", 'D = {**X, "default": {"E": r\'a\', "P": None, 5: [1, "x"]}}\n',
     {'D["default"]["E"]': "it's\\", "D.default.P": "x", "D.default.5.1": "y"},
     'D = {**X, "default": {"E": \'it\\\'s\\\\\', "P": \'x\', 5: [1, "y"]}}\n'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "wanted", "after"), CHANGES)
def test_one_value_changes_in_its_style(
    tmp_path: Path, name: str, text: str, wanted: dict[str, str], after: str
) -> None:
    planned = edit(tmp_path / name, text, wanted)
    assert planned.after.decode() == after
    assert {line.key for line in changed_lines(planned)} == set(wanted)
    assert edit(tmp_path / name, b"\xef\xbb\xbf" + text.encode(), wanted).after == b"\xef\xbb\xbf" + after.encode()


REFUSALS: list[tuple[str, str | bytes, dict[str, str], str]] = [
    (".env", "A=1\nA=2\n", {"A": "3"}, "setting_twice"),
    (".env", "A: 1\n", {"A": "3"}, "setting_unreadable"),
    (".env", "A=1; export A\n", {"A": "3"}, "setting_unreadable"),
    (".env", "A=x\\\ny\n", {"A": "3"}, "setting_unreadable"),
    (".env", "B=1\r\nA\r\n", {"A": "3"}, "setting_unreadable"),
    (".env", "A='open\n", {"A": "3"}, "setting_unreadable"),
    (".env", "A=1\n", {"A": "both ' and \" of them"}, "setting_value"),
    (".env", "A=1\n", {"A": "x${B}"}, "setting_value"),
    (".env", "A=1\n", {"A": "x\x00y"}, "setting_value"),
    (".env", "A=1\n", {"A B": "x"}, "setting_key"),
    (".env", b"A=\xe4\n", {"A": "x"}, "setting_not_utf8"),
    (".env", "A=1\n", {"A": "{target_dns}"}, "setting_placeholder"),
    ("a.yaml", "a: &x 1\nb: *x\n", {"a": "2"}, "setting_anchor"),
    ("a.yaml", "e:\n  - A=1\n  - A=2\n", {"e.A": "3"}, "setting_twice"),
    ("a.yaml", "e:\n  - A\n", {"e.A": "3"}, "setting_missing"),
    ("compose.prod.yml", "a: x\n", {"a": "x$y"}, "setting_value"),
    ("app.properties", "a=x\n", {"a": "x\\y"}, "setting_value"),
    ("a.yaml", "a: &x {c: 1}\nb: *x\n", {"b.c": "2"}, "setting_anchor"),
    ("a.yaml", "a: !vault x\n", {"a": "2"}, "setting_tagged"),
    ("a.yaml", "a: |\n  x\n", {"a": "2"}, "setting_lines"),
    ("a.yaml", "a: 1\na: 2\n", {"a": "3"}, "setting_twice"),
    ("a.yaml", "a: 1\n---\na: 2\n", {"a": "3"}, "setting_documents"),
    ("a.yaml", "a: {b: 1}\n", {"a": "3"}, "setting_not_a_value"),
    ("a.yaml", "a: {b: 1}\n", {"a.c": "3"}, "setting_missing"),
    ("a.yaml", "a: [\n", {"a": "3"}, "setting_unreadable"),
    ("a.yaml", "a: true\n", {"a": "maybe"}, "setting_type"),
    ("a.json", '{"a": 1}', {"a": "x"}, "setting_type"),
    ("a.json", '{"a": 1, "a": 2}', {"a": "3"}, "setting_twice"),
    ("a.json", '{"a": 1}', {"b.c": "3"}, "setting_missing"),
    ("a.json", "[" * 5000, {"a": "3"}, "setting_unreadable"),
    ("a.yaml", "a: " + "[" * 5000 + "]" * 5000, {"b": "3"}, "setting_unreadable"),
    ("a.toml", "a = " + "[" * 5000 + "]" * 5000, {"b": "3"}, "setting_unreadable"),
    ("a.py", "A = " + "-" * 9000 + "1", {"A": "3"}, "setting_unreadable"),
    ("a.toml", "a = 1979-05-27\n", {"a": "3"}, "setting_type"),
    ("a.toml", "a = [1, 2]\n", {"a": "3"}, "setting_not_a_value"),
    ("a.toml", "a = \n", {"a": "3"}, "setting_unreadable"),
    ("a.toml", "a = 1\n", {"b.c": "3"}, "setting_missing"),
    ("a.ini", "[a]\nx = 1\n  2\n", {"a.x": "3"}, "setting_lines"),
    ("a.ini", "[a]\nx = 1\n[a]\n", {"a.x": "3"}, "setting_twice"),
    ("a.ini", "[a]\nx = 1\n", {"a.x": "3 ; 4"}, "setting_value"),
    ("a.ini", "[a]\nx = 1\n", {"b.x": "3"}, "setting_missing"),
    ("a.py", "A = 1\nA = 2\n", {"A": "3"}, "setting_twice"),
    ("a.py", "A = 1\ndef f():\n    global A\n    A = 2\n", {"A": "3"}, "setting_twice"),
    ("a.py", "if x:\n    A = 1\n", {"A": "3"}, "setting_not_literal"),
    ("a.py", "A = B = 1\n", {"A": "3"}, "setting_not_literal"),
    ("a.py", "A = f'{x}'\n", {"A": "3"}, "setting_not_literal"),
    ("a.py", "A = os.environ.get('A', '1')\n", {"A": "3"}, "setting_not_literal"),
    ("a.py", "D = {'a': 1}\nD['a'] = 2\n", {"D.a": "3"}, "setting_twice"),
    ("a.py", "D = {'a': 1, **more()}\n", {"D.a": "3"}, "setting_twice"),
    ("a.py", "A = 1\n", {"B": "3"}, "setting_missing"),
    ("a.py", "A = (\n", {"A": "3"}, "setting_unreadable"),
    ("a.py", "# coding: latin-1\nA = 1\n", {"A": "3"}, "setting_not_utf8"),
    ("a.conf.d", "a 1\n", {"a": "3"}, "setting_format"),
]


@pytest.mark.parametrize(("name", "text", "wanted", "code"), REFUSALS)
def test_what_can_not_be_changed_safely_is_refused(
    tmp_path: Path, name: str, text: str | bytes, wanted: dict[str, str], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        edit(tmp_path / name, text, wanted)
    assert refused.value.code == code
    assert str(tmp_path / name) in refused.value.message
    assert not any(value in str(refused.value) for value in wanted.values() if len(value) > 5 and "{" not in value)


@pytest.mark.parametrize(
    ("name", "text", "instead"),
    [(".env", "A=1\nB=2\n", "9\nB=3"), ("a.yaml", "A: 1\nB: 2\n", "9\nC: 3"), ("a.json", '{"A": 1, "B": 2}', '9, "C": 3'),
     ("a.toml", "A = 1\nB = 2\n", "9\nC = 3"), ("a.ini", "[x]\nA=1\n", "9\n[y]\nB=2"), ("a.py", "A = 1\n", "9; B = 2")],
)  # fmt: skip
def test_a_change_that_would_say_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, instead: str
) -> None:
    """The proof by itself: a format that writes wrongly is caught by reading the result again."""
    form = FORMATS[found] if (found := format_of(Path(name))) else None
    assert form is not None
    key = "x.A" if name == "a.ini" else "A"
    right = form.splice(text, key, "9")
    assert edit(tmp_path / name, text, {key: "9"}).after != text.encode()
    monkeypatch.setattr(type(form), "splice", lambda *_: replace(right, text=instead))
    with pytest.raises(Refused) as refused:
        edit(tmp_path / name, text, {key: "9"})
    assert refused.value.code == "setting_not_proven"


def test_a_pattern_must_match_exactly_once(tmp_path: Path) -> None:
    file, pattern = tmp_path / "schema.prisma", r'^\s*provider = "(?P<value>sqlite)"$'
    text = 'datasource db {\n  provider = "sqlite"\n}\n// provider = "sqlite"\n'
    planned = edit(file, text, pattern=pattern, to="postgresql")
    assert planned.after.decode() == text.replace('  provider = "sqlite"', '  provider = "postgresql"', 1)
    assert [line.text for line in changed_lines(planned)] == ["line 2: provider: sqlite → postgresql"]
    for wrong, code in ((text * 2, "setting_pattern_twice"), ("nothing", "setting_pattern_none")):
        with pytest.raises(Refused, match=r"schema\.prisma") as refused:
            edit(file, wrong, pattern=pattern, to="postgresql")
        assert refused.value.code == code
    with pytest.raises(Refused) as refused:
        edit(file, "abc", pattern="x*", to="y")
    assert refused.value.code == "setting_pattern_twice"


def test_the_lines_of_a_pattern_that_matches_twice_are_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"matches 2 times \(lines 1, 3\)"):
        edit(tmp_path / "x.txt", "a\nb\na\n", pattern="a", to="c")


def test_a_pattern_leaves_line_ends_as_they_are(tmp_path: Path) -> None:
    file, text = tmp_path / "schema.prisma", 'datasource db {\r\n  provider = "sqlite"\r\n  url = x\r\n}\r\n'
    for pattern in (r"^\s*provider = (?P<value>.+)$", r'db \{\n  provider = (?P<value>"sqlite")\n'):
        planned = edit(file, text, pattern=pattern, to='"postgresql"')
        assert planned.after.decode() == text.replace("sqlite", "postgresql")
        assert [line.text for line in changed_lines(planned)] == ['line 2: provider: "sqlite" → "postgresql"']


def test_a_dollar_arrives_where_a_reader_fills_variables_in(tmp_path: Path) -> None:
    """Compose reads `$$` as one dollar; what is written as it is would lose what stands behind it."""
    values = {**VALUES, "target_password": "pa$word"}
    file = tmp_path / "docker-compose.yml"
    file.write_text("e:\n  PW: old\n  U: x\n")
    [planned] = plan_edits([switch(file, {"e.PW": "{target_password}"})], values)
    assert planned.after == b"e:\n  PW: pa$$word\n  U: x\n"
    [planned] = plan_edits([switch(file, pattern="U: (?P<value>x)", to="a-{target_password}")], values)
    assert planned.after == b"e:\n  PW: old\n  U: a-pa$$word\n"
    assert "word" not in str(planned.lines)
    (other := tmp_path / "other.yml").write_text("PW: old\n")
    [planned] = plan_edits([switch(other, {"PW": "{target_password}"})], values)
    assert planned.after == b"PW: pa$word\n"


@pytest.mark.parametrize("package", ["next", "vite", "express"])
def test_packages_that_fill_variables_in_get_no_dollar(tmp_path: Path, package: str) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {package: "1"}}))
    env = tmp_path / ".env.production"
    if package == "express":
        assert edit(env, "PW=old\n", {"PW": "pa$word"}).after == b"PW='pa$word'\n"
        return
    with pytest.raises(Refused, match=package) as refused:
        edit(env, "PW=old\n", {"PW": "pa$word"})
    assert refused.value.code == "setting_value"
    assert "word" not in refused.value.message.replace("password", "")


def test_what_is_shown_holds_no_secret(tmp_path: Path) -> None:
    text = (
        "DATABASE_URL=mysql://root:oldpw@h/x?ssl=1\nSECRET_KEY=abcdef\nDEBUG=true\nDB_PASS=x\n"
        "HOOK=https://hooks.example/T0/B0/xyz\nDSN='host=h password=pw1'\nID=a8f5f167f44f4964e6c998dee827110c\n"
    )
    wanted = {
        "DATABASE_URL": "{target_dsn}", "SECRET_KEY": "uvw", "DEBUG": "false", "DB_PASS": "{target_password}",
        "HOOK": "https://u:p@other.example/T1", "DSN": "host=h password={target_password}", "ID": "prefix-{target_password}",
    }  # fmt: skip
    lines = changed_lines(edit(tmp_path / ".env", text, wanted))
    assert {line.key: (line.old, line.new) for line in lines} == {
        "DATABASE_URL": ("mysql://root:***@h/x?…", "postgresql://app:***@db.internal:5432/shop?…"),
        "SECRET_KEY": ("***", "***"),
        "DEBUG": ("true", "false"),
        "DB_PASS": ("***", "***"),
        "HOOK": ("https://hooks.example/…", "https://***:***@other.example/…"),
        "DSN": ("***", "***"),
        "ID": ("***", "***"),
    }
    [line] = changed_lines(edit(tmp_path / "x.txt", 'api_key: str = "abc"', pattern='"(?P<value>.*)"', to="def"))
    assert (line.old, line.new) == ("***", "***")
    assert PASSWORD not in repr(edit(tmp_path / ".env", text, wanted))


@pytest.mark.parametrize("key", ["DBPASS", "smtpPass", "MYSQL_PWD", "DB_CREDS", "PASSCODE", "db.pass"])
def test_names_of_secrets(key: str) -> None:
    assert sounds_secret(key)
    assert not sounds_secret("DB_HOST")


@pytest.mark.parametrize("value", [DSN, f"{DSN}&a=1", "x&y;z", "a|b", "(a)", "~/x", "a b"])
@pytest.mark.parametrize("old", ["old", "'old'", '"old"', ""])
def test_a_shell_reads_what_was_meant_also_without_export(tmp_path: Path, value: str, old: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(edit(file, f"A={old}\nB=keep\n", {"A": value}).after)
    ran = subprocess.run(
        ["/bin/sh", "-c", f'set -a; . "{file}"; printf "%s|%s" "$A" "$B"'], capture_output=True, check=True, text=True
    )
    assert ran.stdout == f"{value}|keep"


@pytest.mark.parametrize("value", [DSN, "a b", "x&y;z", "it's", 'say "x"', "a#b", "$HOME", "a*b", "", "tab\tx"])
@pytest.mark.parametrize("style", ["", "'", '"'])
def test_a_shell_reads_what_was_meant(tmp_path: Path, value: str, style: str) -> None:
    file = tmp_path / ".env"
    planned = edit(file, f"export A={style}old{style} # c\nexport B=keep\n", {"A": value})
    file.write_bytes(planned.after)
    ran = subprocess.run(
        ["/bin/sh", "-c", f'. "{file}"; printf "%s|%s" "$A" "$B"'], capture_output=True, check=True, text=True
    )
    assert ran.stdout == f"{value}|keep"


def test_the_format_is_told_by_the_file_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "shared.yaml").write_text("a: x\n")
    (tmp_path / "current").symlink_to("shared.yaml")
    switches = [switch(tmp_path / "current", {"a": "p"}), switch(tmp_path / "shared.yaml", {"b": "q"})]
    [planned] = plan_edits(switches, VALUES)
    assert planned.after == b"a: p\nb: q\n"


def test_the_format_is_told_by_the_name() -> None:
    names = {".env": "dotenv", ".env.production": "dotenv", "prod.env": "dotenv", "a.YML": "yaml", "a.toml": "toml",
             "a.jsonc": "json", "setup.cfg": "ini", "settings.py": "python",
             "env.py": "python", ".env.json": "json", "env.prod": "dotenv"}  # fmt: skip
    assert {n: format_of(Path(n)) for n in names} == {n: SwitchFormat(f) for n, f in names.items()}
    assert format_of(Path("Caddyfile")) is None
