"""Languages: the catalogs are complete and up to date, sentences are found by their templates, texts fit their places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from scripts import texts as tool
from stepflow_tui.engine.model.finding import info, warning
from stepflow_tui.engine.texts import findings, render, shown
from stepflow_tui.engine.texts import language as lang
from stepflow_tui.render import words
from stepflow_tui.render.findings import finding_json, finding_lines
from stepflow_tui.render.width import cells, pad, wrap

PLACE = re.compile(r"\{\w*\}")
NUMBERED = re.compile(r"\{\d+\}")


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    lang.use("en")


@pytest.fixture(scope="module")
def texts() -> tool.Texts:
    return tool.collect()


@cache
def translated() -> dict[str, tuple[str, ...]]:
    """Every message of the Chinese catalog with the forms of its translation."""
    return {tool.forms(m.id)[0]: tool.forms(m.string) for m in tool.catalog("zh_CN") if m.id}


# the catalogs


@pytest.mark.parametrize("locale", tool.CATALOGS)
def test_catalogs_are_up_to_date_with_the_sources(locale: str, texts: tool.Texts) -> None:
    po = tool.po_bytes(tool.merged(locale, texts))
    path = tool.po_path(locale)
    assert path.read_bytes() == po, "run `make texts`"
    assert path.with_suffix(".mo").read_bytes() == tool.mo_bytes(po, locale), "run `make texts`"


def test_every_text_has_a_translation(texts: tool.Texts) -> None:
    found = translated()
    assert [m for m in texts if not all(found.get(m, ("",)))] == []
    assert [m.id for m in tool.catalog("zh_CN") if m.fuzzy and m.id] == []


def test_places_backticks_and_blanks_at_the_ends_are_kept() -> None:
    off = []
    for message, strings in translated().items():
        for string in filter(None, strings):
            same = (
                sorted(set(PLACE.findall(message))) == sorted(set(PLACE.findall(string))),
                message.count("`") == string.count("`"),
                message[:1].isspace() == string[:1].isspace(),
                message[-1:].isspace() == string[-1:].isspace(),
                message.count("\n") == string.count("\n"),
            )
            if not all(same):
                off.append((message, string))
    assert off == []


def test_a_new_text_gets_an_empty_translation_and_a_gone_one_is_dropped() -> None:
    made = tool.merged("zh_CN", {"Copy": tool.Text(files={"a.py"}), "Never heard of.": tool.Text(files={"a.py"})})
    assert tool.missing(made) == ["Never heard of."]
    assert {m.id for m in made if m.id} == {"Copy", "Never heard of."}


def test_translations_are_filled_in_from_a_file_of_them() -> None:
    made = tool.merged(
        "zh_CN", {"Never heard of.": tool.Text(), "{n} cup": tool.Text(plural="{n} cups"), "Copy": tool.Text()}
    )
    tool.fill(made, {"Never heard of.": "从未听说。", "{n} cup": "{n} 杯", "Copy": ""})
    assert tool.missing(made) == []
    assert (made["Never heard of."].string, made["{n} cup"].string) == ("从未听说。", ("{n} 杯",))
    assert made["Copy"].string == "复制"


def test_an_f_string_to_translate_is_refused() -> None:
    import ast

    with pytest.raises(SystemExit, match=r"a\.py:1: an f-string"):
        list(tool._marked(ast.parse('_(f"Hello {name}")'), "a.py"))


def test_the_collector_numbers_the_places_of_finished_sentences() -> None:
    import ast

    source = 'KEPT = "kept: "\nraise UsageError(f"{KEPT}{a!r} in {b:,}.", hint=f"{{too}} {c}" if d else "Try again.")'
    found = set(tool._sentences(ast.parse(source)))
    assert found == {"kept: {0} in {1}.", "{{too}} {0}", "Try again."}


# which language


@pytest.mark.parametrize(
    ("asked", "env", "language"),
    [
        (None, {}, "en"),
        (None, {"LANG": "zh_CN.UTF-8"}, "zh"),
        (None, {"LANG": "zh_SG"}, "zh"),
        (None, {"LANG": "zh_TW.UTF-8"}, "en"),
        (None, {"LANG": "de_DE.UTF-8"}, "en"),
        (None, {"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        (None, {"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.GB18030"}, "zh"),
        (None, {"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh"),
        (None, {"LANG": "zh_CN.UTF-8", "LANGUAGE": "en"}, "en"),
        (None, {"LANG": "C", "LANGUAGE": "zh_CN"}, "en"),
        (None, {"LC_ALL": "POSIX", "LANG": "zh_CN.UTF-8"}, "en"),
        ("zh", {"LANG": "C"}, "zh"),
        ("zh-Hans", {}, "zh"),
        ("en", {"LANG": "zh_CN.UTF-8"}, "en"),
    ],
)
def test_the_language_follows_the_option_then_the_environment(
    asked: str | None, env: dict[str, str], language: str
) -> None:
    assert lang.wanted(asked, env) == language


# sentences that were finished where they arose


@cache
def numbered() -> list[str]:
    return sorted(m for m in translated() if NUMBERED.search(m))


def test_known_finds_an_exact_sentence_and_leaves_strange_ones() -> None:
    lang.use("zh")
    assert lang.known("The run is not paused.") == "运行没有暂停。"
    assert lang.known('relation "x" does not exist') == 'relation "x" does not exist'
    lang.use("en")
    assert lang.known("The run is not paused.") == "The run is not paused."


@pytest.mark.parametrize("values", [("Xq",), ("/srv/a b/c.db",), ("7",)], ids=["word", "blanks", "number"])
def test_every_template_finds_its_own_sentences_and_no_other_takes_them(values: tuple[str]) -> None:
    lang.use("zh")
    table, wrong = translated(), []
    for template in numbered():
        filled = [f"{values[0]}{n}" for n in range(len(NUMBERED.findall(template)))]
        own = len(NUMBERED.sub("", template))
        if template.startswith("{") and own < lang.FEW and " " in values[0]:
            continue  # too few words of its own to prove anything
        sentence = template.format(*filled)
        if lang.known(sentence) != table[template][0].format(*filled):
            wrong.append((template, lang.known(sentence)))
    assert wrong == []


@settings(deadline=None)  # the first example reads the catalog
@given(st.data())
def test_whatever_stands_in_the_places_is_kept(data: st.DataObject) -> None:
    lang.use("zh")
    template = data.draw(st.sampled_from(numbered()))
    count = len(NUMBERED.findall(template))
    name = st.text(st.characters(whitelist_categories=("Lu", "Nd")), min_size=3, max_size=8)
    values = data.draw(st.lists(name, min_size=count, max_size=count))
    found = lang.known(template.format(*values))
    assert all(value in found for value in values)


def test_a_sentence_in_a_place_is_translated_a_name_is_not() -> None:
    lang.use("zh")
    inside = lang.known("no row of it can be read: the census could not read it")
    assert inside == "它没有一行能读取：普查无法读取它"
    # a table may be called like a word of ours
    assert lang.known("table Verify is gone") == "表 Verify 已不存在"
    assert lang.known("Roll back a? Lost now: nothing.") == "回滚 a？将会丢失：无。"
    assert lang.known("mixed storage classes: 3 integers, 2 texts") == "混合的存储类：3 个整数，2 个文本"
    # a server's words keep their own signs
    assert (
        lang.inner("nobody answers ('127.0.0.1', 1); it said x, y") == "nobody answers ('127.0.0.1', 1); it said x, y"
    )
    failed = lang.known("could not connect to the target; ConnectionRefusedError: Connect call failed ('127.0.0.1', 1)")
    assert failed.endswith("Connect call failed ('127.0.0.1', 1)")


def test_problems_of_a_config_are_translated_line_by_line() -> None:
    lang.use("zh")
    detail = (
        "/etc/a.yaml:3: kin: unknown key (did you mean kind?)\n"
        "/etc/a.yaml:11: copy.streams: out of range, got '900' (auto, or 1 to 64)"
    )
    assert lang.known(detail).splitlines() == [
        "/etc/a.yaml:3: kin: 未知的键 (您是否指 kind？)",
        "/etc/a.yaml:11: copy.streams: 超出范围，实为 '900' (auto，或 1 到 64)",
    ]
    assert lang.known("not a name, got 'a b'") == "不是名称，实为 'a b'"
    assert lang.known("no such thing, got 'a b'") == "no such thing, got 'a b'"


# findings


@pytest.mark.parametrize("code", sorted(findings()))
def test_findings_are_shown_in_chinese_and_stay_english_for_programs(code: str) -> None:
    names = {n for text in vars_of(code) for n in re.findall(r"(?<!\{)\{(\w+)\}", text)} - {"object"}
    finding = warning(code, "orders.total", **dict.fromkeys(names, "Xq7"))
    english = render(finding)
    lang.use("zh")
    assert render(finding) == english
    assert finding_json(finding)["what"] == english.what
    said = shown(finding)
    if re.search("[A-Za-z]", PLACE.sub("", findings()[code].why)):
        assert re.search("[\u4e00-\u9fff]", said.why), said.why
    assert ("Xq7" in said.what) == ("Xq7" in english.what)


def vars_of(code: str) -> tuple[str, str, str]:
    said = findings()[code]
    return said.what, said.why, said.fix


def test_a_finding_is_padded_by_cells() -> None:
    lang.use("zh")
    first = next(
        iter(finding_lines(info("library_versions", python="3", sqlite="3", adbc="1", adbc_sqlite="3", asyncpg="0")))
    )
    assert first.startswith("信息      library_versions：")


def test_states_are_words_in_chinese_and_as_in_json_in_english() -> None:
    assert words.term("rolling_back") == "rolling_back"
    lang.use("zh")
    assert words.term("rolling_back") == "正在回滚"
    assert words.term("something-new") == "something new"


# widths


def in_both(message: str) -> Iterator[str]:
    for language in lang.LANGUAGES:
        lang.use(language)
        yield lang._(message)


def limits() -> Iterator[tuple[str, str, int]]:
    from stepflow_tui.actions import ACTIONS
    from stepflow_tui.engine.texts.running import PHASES, STEPS

    yield from ((f"label {a.id}", a.label, 10 if a.footer else 14) for a in ACTIONS)
    yield from ((f"phase {name}", title, 16) for name, title in PHASES.items())
    yield from ((f"step {name}", title, 42) for name, title in STEPS.items())
    yield from ((f"panel {name}", title, 16) for name, title in panels())
    yield from ((f"button in {name}", label, 24) for name, label in buttons())


def buttons() -> Iterator[tuple[str, str]]:
    """Labels of buttons, as written in the screens."""
    import ast

    for path in (p for p in tool.sources() if p.parts[-3:].count("screens")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Button":
                yield from ((path.name, label) for label, _plural in tool._marked(ast.Module([ast.Expr(node)], []), ""))


def panels() -> Iterator[tuple[str, str]]:
    import importlib

    from screens.panels.base import Panel

    for name in ("steps", "now", "wal", "switch", "diffs", "log"):
        importlib.import_module(f"screens.panels.{name}")
    yield from ((cls.__name__, cls.NAME) for cls in Panel.__subclasses__())


def test_labels_and_titles_fit_their_places_in_every_language() -> None:
    wide = [
        (what, text, cell_len(text))
        for what, message, room in limits()
        for text in in_both(message)
        if cell_len(text) > room
    ]
    assert wide == []


@settings(deadline=None)
@given(st.text(max_size=60))
def test_cells_are_counted_as_the_terminal_libraries_count(text: str) -> None:
    plain = "".join(c for c in text if c.isprintable() and ord(c) < 0x2_0000)
    for character in plain:
        if not ord(character) >= 0x1F000:  # pictures differ between versions of the tables
            assert abs(cells(character) - cell_len(character)) <= 1
    assert cells(pad("表", 6)) == 6


def test_wrapping_keeps_words_whole_and_breaks_between_characters() -> None:
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("显示运行的状态。", 8) == ["显示运行", "的状态。"]
    assert wrap("请用 `stepflow run` 启动。", 12) == ["请用", "`stepflow", "run` 启动。"]
    assert wrap("", 10) == [""]


@given(
    st.lists(st.sampled_from(["run", "表", "校验", "`a`", "，", "。", "long-option"]), max_size=30), st.integers(12, 40)
)
def test_wrapped_lines_fit_and_lose_nothing(parts: list[str], width: int) -> None:
    text = " ".join(parts)
    lines = wrap(text, width)
    # marks that never begin a line may stand beyond the end
    assert all(cells(line.rstrip("，。 ")) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_texts_are_joined_with_the_signs_of_the_language() -> None:
    assert words.about("Rows", 3) == "Rows: 3"
    assert words.listed(["a", "b"]) == "a, b"
    assert words.clauses(["a", "b"]) == "a; b"
    assert words.counted(2, "warning") == "2 warning"
    assert words.sentences("One.", "", "Two.") == "One. Two."
    lang.use("zh")
    assert words.about("行", 3) == "行：3"
    assert words.listed(["甲", "乙"]) == "甲，乙"
    assert words.clauses(["甲", "乙"]) == "甲；乙"
    assert words.counted(2, "警告") == "2 项警告"
    assert words.sentences("一。", "二。") == "一。二。"


def test_what_the_application_has_to_change_is_translated() -> None:
    lang.use("zh")
    line = "orders.paid is PostgreSQL's boolean: send and expect true and false, not 1 and 0."
    assert lang.known(line) == "orders.paid 是 PostgreSQL 的 boolean：请发送并接收 true 和 false，而不是 1 和 0。"
    assert lang.known("app_ro may read the tables.") == "app_ro 可以读取这些表。"
