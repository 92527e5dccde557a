"""Collects every text a person reads, merges it into the catalogs and compiles them: `make texts`.

Four sources:

* `_()`, `N_()` and `ngettext()` anywhere in the code;
* the text tables of `engine/texts` (findings, phases, steps, alerts, checklist) and the values of the engine's vocabularies;
* sentences that are finished where they arise (errors, reasons, evidence): constants and f-strings of the engine and errors
  of the front ends. Each `{expression}` becomes a numbered place, so that `language.known` finds them again;
* help of the command line: docstrings of commands, `help=`, `epilog=`.

The catalogs are the same bytes for the same sources: no dates, no line numbers, sorted by message. To translate what is
new: `python -m scripts.texts --missing new.json`, write the translations into that file, `--fill new.json`.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("stepflow_tui", "screens")
LOCALES = ROOT / "stepflow_tui" / "locale"
CATALOGS = ("zh_CN",)
DOMAIN = "stepflow"

MARKS = ("_", "N_")
ERRORS = re.compile(
    r"(Error|Refused|Drift|Different|NeedsConfirmation|Held|StepFailed|DiskFull|EngineLost|OutcomeUnknown)$"
)
SENTENCES = ("message", "detail", "hint", "what", "reason", "default_hint")
"""Keywords and attributes that hold finished sentences."""
VOCABULARIES = {
    "stepflow_tui.engine.model.state": (
        "PhaseName", "RunState", "RunResult", "StepState", "Danger", "ItemState",
    ),
    "stepflow_tui.engine.model.finding": ("Severity",),
    "stepflow_tui.engine.model.alert": ("AlertSeverity",),
    "stepflow_tui.engine.model.discrepancy": ("DiffClass", "Verified"),
    "stepflow_tui.engine.model.plan": ("Stage", "ObjectType"),
    "stepflow_tui.engine.plan.risks": ("RiskState", "Weight"),
    "stepflow_tui.engine.model.table": ("TableState",),
    "stepflow_tui.engine.model.progress": ("EtaState",),
    "stepflow_tui.engine.journal.control_rows": ("CommandState",),
    "stepflow_tui.engine.journal.audit": ("ChainState",),
}  # fmt: skip
"""Enumerations whose values are shown as words: `rolling_back` as "rolling back"."""

ENGLISH_ONLY = (
    *(
        f"stepflow_tui/engine/report/{name}.py"  # the report is evidence in one language, whoever reads it
        for name in ("__init__", "collect", "html", "markdown", "write")
    ),
    "stepflow_tui/engine/texts/",  # tables, collected by name
    *(f"stepflow_tui/engine/tuning/{name}.py" for name in ("go", "node", "python")),  # source text for applications
    "stepflow_tui/engine/sqlite/sample.py",  # the demo's data
    "stepflow_tui/engine/testing.py",
    "stepflow_tui/engine/failpoints.py",
    "stepflow_tui/engine/model/sensitive",  # names of columns
    "stepflow_tui/engine/model/secret_words.py",  # names of variables
    "stepflow_tui/engine/facade/compose.py",  # a config file, in one language like its keys
    "stepflow_tui/engine/journal/schema.py",
)
"""Files of the engine without sentences for people."""


@dataclass(slots=True)
class Text:
    """A message: its plural, if it has one, and the files it stands in."""

    plural: str | None = None
    files: set[str] = field(default_factory=set)


Texts = dict[str, Text]


def collect() -> Texts:
    """All messages by their English text."""
    texts: Texts = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for message, plural in _in_file(tree, name):
            text = texts.setdefault(message, Text())
            text.plural = text.plural or plural
            text.files.add(name)
    for message, name in (*_tables(), *_vocabularies()):
        texts.setdefault(message, Text()).files.add(name)
    return {message: text for message, text in texts.items() if re.search("[A-Za-z]", _PLACE.sub("", message))}


def sources() -> list[Path]:
    """All source files that may hold texts."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def _in_file(tree: ast.Module, name: str) -> Iterator[tuple[str, str | None]]:
    yield from _marked(tree, name)
    if name.startswith("stepflow_tui/engine/"):
        if not name.startswith(ENGLISH_ONLY) and not name.endswith(SQL_FILES):
            yield from ((s, None) for s in _prose(tree))
    else:
        yield from ((s, None) for s in _sentences(tree))
    if name.startswith("stepflow_tui/cli/"):
        yield from ((s, None) for s in _help(tree))


def _marked(tree: ast.Module, name: str) -> Iterator[tuple[str, str | None]]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id in MARKS and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.JoinedStr):
                raise SystemExit(f"{name}:{node.lineno}: an f-string can't be translated; use .format(name=…)")
            yield from ((s, None) for s in _constants(argument))
        if node.func.id == "ngettext" and len(node.args) == 3:
            one, many = node.args[:2]
            if isinstance(one, ast.Constant) and isinstance(many, ast.Constant):
                yield str(one.value), str(many.value)


def _constants(node: ast.expr) -> Iterator[str]:
    """The constant, or those of both branches of a condition."""
    if isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def template(node: ast.expr, constants: Mapping[str, str] | None = None) -> str | None:
    """The text of a constant or an f-string, its expressions as numbered places; None for anything else.

    A place that holds a constant of the module is filled with it.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    text, places = "", 0
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value).replace("{", "{{").replace("}", "}}")
        elif (
            isinstance(part, ast.FormattedValue)
            and isinstance(part.value, ast.Name)
            and part.value.id in (constants or {})
        ):
            text += (constants or {})[part.value.id]
        else:
            text += f"{{{places}}}"
            places += 1
    return text


def _module_constants(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.update({t.id: node.value.value for t in node.targets if isinstance(t, ast.Name)})
    return found


def literals(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Every text in the code but docstrings, with its node; the parts of an f-string only as a whole."""
    constants, inner = _module_constants(tree), set[int]()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            inner.update(id(s.value) for s in body if isinstance(s, ast.Expr))
        if isinstance(node, ast.JoinedStr):
            inner.update(id(part) for part in ast.walk(node) if part is not node and not _nested(part, node))
    for node in ast.walk(tree):
        if id(node) not in inner and isinstance(node, (ast.Constant, ast.JoinedStr)):
            text = template(node, constants)
            if text:
                yield text, node


def _nested(part: ast.AST, whole: ast.JoinedStr) -> bool:
    """Whether a text is computed inside a place of an f-string: it is a text of its own."""
    return not any(part is p for p in whole.values) and isinstance(part, ast.Constant) and isinstance(part.value, str)


_PLACE = re.compile(r"\{[a-z_0-9]*\}")
_WORD = re.compile(r"[A-Za-z][a-z']+")
_CODE = re.compile(
    r"""(?x)
    \\[sdwWDb.(\[] | \(\?[P:!=<i] | ::\w | =\?|LIKE\ \?|=\$\d | \$\d\b | x' | \|\| | ^SELECT|^INSERT|^UPDATE|^DELETE|^PRAGMA|^ALTER|^CREATE
    | ^[\s(]*(select|insert|update|delete|create|alter|drop|pragma|grant|revoke|cast|count|max|min|iif|case|when|with|order\ by|where
      |typeof|coalesce|nullif|to_char|to_jsonb|floor|string_agg|date_trunc|convert_to|ifnull|length|unixepoch|datetime|generated|get_byte
      |raise\ exception|return|begin|end\ if|if\ \{|group\ by|array|extract|regexp|union|cross|add|on|and|or|references|filter|strftime\('
      |initially|enable|disable|rename|(left|right|full)\ join|set\ (local|constraints|\{|maintenance|work|constraint)|default|replace\(\{)\b
    | \b(at\ time\ zone|interval\ '|is\ null|is\ not\ null|collate\ binary|over\ \(|_stepflow\.|json_extract|group\ by|pg_\w+\.|text\ not\ null|regclass|intersect|import\ sys)\b
    | ^[\s(]*['"(]*\{\d+\}[\s)'"]*(is|collate|and|or|desc|limit|not|nulls|on|like|glob|=|<|>|order|add|validate|enable|alter)\b
    """
)
PROSE = frozenset(
    {
        "min is larger than max", "min at most max", "{0} is not in this version", "{0} is not a finished backup.",
        "{0} is {1}, not a config file.", "{0} is already there.", "{0} is in use.", "{0} is not a folder of ours.",
        "{0} is now called {1}.", "{0} is {1} and {2}.{3} is {4}", "{0} not indexed", "{0} ({1}) is not unique, which SQLite needs too, or only under a collation",
    }
)  # fmt: skip
"""Sentences that look like SQL."""
NOT_PROSE = frozenset(
    {
        "Config(name={0}, kind={1}, mode={2})", "c.{0} is not null", "is not", "is distinct from", "is not distinct from",
        "not like", " not null", "union all", "instead of", "start of (day|month|year)", "new.{0} = old.{1}", "malformed database schema",
        "no encryption|SSL off|GSS", "server closed", "pipe closed", "binary data", "Multiple exceptions", "unsafe use of", "Order/Notes (old)",
        "'{0}'::{1}", "Address already in use", "use_audit_key comes first", "*** in database", "generated as {0}", "enable always",
        "(not readable)",
        "a thousand old tables of one name", "Embedded.start() has not been called", "journal migrations are not numbered 1, 2, 3, …",
        "the engine's facade has no {0}", "{0} does nothing", "^(NULL value in|(non-)?[A-Z]+ value in|CHECK constraint failed in) ", ", stored as {0}",
        "has the form {0}", "has the form YYYY-MM-DD", "is 0 or 1", "is exact with {0} decimals", "{0} asks for {1}{2}", "set maintenance_work_mem = '128MB'", "{0} = any(array[{1}])", "{0} where {1} order by {2} limit {3}",
        "worker processes are started from the main thread only", "WHERE cleared_seq IS NULL", "pg_catalog, {0}, pg_temp",
        "read committed", "-- in the database {0}:", "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'",
        "connection (is|was|has been) (closed|released)|underlying connection|cannot switch to state",
        "segment, tb, mode, lo, hi, state, rows, rejected", "\n# set by stepflow\n", "stepflow copy {0}",
    }
)  # fmt: skip
"""Texts that look like sentences: patterns, names, other programs' words, errors of the programmer's."""
SQL_FILES = (
    "bulk/bounds.py", "bulk/segments.py", "bulk/spec.py", "plan/kinds.py", "plan/targets.py", "postgres/grants.py",
    "sqlite/census_counts.py", "sqlite/census_texts.py", "verify/arrow_forms.py", "verify/content.py", "verify/cut.py", "verify/forms.py",
    "verify/keys.py", "verify/raw.py", "plan/translate/helpers.py",
)  # fmt: skip
"""Files of the engine that hold hardly anything but SQL."""
TYPE_NAMES = frozenset(
    {
        "double precision", "character varying", "timestamp with time zone", "timestamp without time zone", "time with time zone",
        "time without time zone", "timestamp with offset",
    }
)  # fmt: skip
_FIELD = re.compile(r"(?<!\{)\{([a-z_]+)\}(?!\})")


def _prose(tree: ast.Module) -> Iterator[str]:
    """Texts of the engine that are made of words and are no SQL."""
    for text, _node in literals(tree):
        words = _WORD.findall(text)
        if len(words) < 2 or " " not in text.strip() or text.endswith(" ") or text in NOT_PROSE or text in TYPE_NAMES:
            continue  # a text that ends in a blank is a part of another
        if text in PROSE or not _CODE.search(text):
            yield _numbered(text)


def _numbered(text: str) -> str:
    """Named places of a `format_map` as numbered ones; without places, doubled braces as they will be shown."""
    names = iter(range(len(text)))
    numbered = _FIELD.sub(lambda _: f"{{{next(names)}}}", text)
    if numbered == text and "{{" in text and not re.search(r"\{\d+\}", text):
        return text.replace("{{", "{").replace("}}", "}")
    return numbered


def _sentences(tree: ast.Module) -> Iterator[str]:
    """Errors of the front ends, and what is handed on to become one."""
    constants = _module_constants(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [k.value for k in node.keywords if k.arg in SENTENCES]
        if ERRORS.search(name):
            given += node.args[:1]
        for value in given:
            for part in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                text = template(part, constants)
                if text and _WORD.search(text):
                    yield text


def _help(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(_registers(d) for d in node.decorator_list):
            yield (ast.get_docstring(node) or "").strip()
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in ("help", "epilog"):
                    yield template(keyword.value) or ""
            if isinstance(node.func, ast.Name) and node.func.id == "commands" and node.args:
                yield from _constants(node.args[0])


def _registers(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr in ("command", "callback")


def _tables() -> Iterator[tuple[str, str]]:
    texts = importlib.import_module("stepflow_tui.engine.texts")
    running = importlib.import_module("stepflow_tui.engine.texts.running")
    checklist = importlib.import_module("stepflow_tui.engine.texts.checklist")
    commands = importlib.import_module("stepflow_tui.cli.commands")
    for words in texts.findings().values():
        yield from ((text, "stepflow_tui/engine/texts") for text in (words.what, words.why, words.fix))
    for table in (running.ALERTS, running.ADVICE, running.PHASES, running.STEPS):
        yield from ((text, "stepflow_tui/engine/texts/running.py") for text in table.values())
    yield from ((text, "stepflow_tui/engine/texts/checklist.py") for text in checklist.TITLES.values())
    yield from ((text, "stepflow_tui/cli/commands.py") for _, text in commands.COMMANDS.values())


def _vocabularies() -> Iterator[tuple[str, str]]:
    for module, names in VOCABULARIES.items():
        for name in names:
            values: type[StrEnum] = getattr(importlib.import_module(module), name)
            for value in values:
                yield value.replace("_", " ").replace("-", " "), module.replace(".", "/") + ".py"


def merged(locale: str, texts: Texts) -> Catalog:
    """The catalog with exactly these messages, its translations kept."""
    kept = catalog(locale)
    made = Catalog(locale=locale, domain=DOMAIN, project="stepflow", fuzzy=False, header_comment=_HEADER)
    for message in sorted(texts):
        text, old = texts[message], kept.get(message)
        strings = forms(old.string) if old is not None else ("",)
        files = [(name, 1) for name in sorted(text.files)]
        if text.plural is not None:
            made.add((message, text.plural), strings, locations=files)
        else:
            made.add(message, strings[0], locations=files)
    return made


_HEADER = "# Texts of StepFlow. Made by `make texts`; translate the msgstr lines, then run it again."
_DATE = "2026-01-01 00:00+0000"


def catalog(locale: str) -> Catalog:
    """The catalog as it lies there; an empty one when there is none."""
    path = po_path(locale)
    if not path.exists():
        return Catalog(locale=locale, domain=DOMAIN)
    with path.open("rb") as file:
        return read_po(file, locale=locale, domain=DOMAIN)


def po_path(locale: str) -> Path:
    """Where a catalog lies; the compiled one lies beside it."""
    return LOCALES / locale / "LC_MESSAGES" / f"{DOMAIN}.po"


def po_bytes(made: Catalog) -> bytes:
    """The catalog as a .po file: one line per text, without dates, so that equal sources give equal bytes."""
    made.creation_date = made.revision_date = datetime.fromisoformat(_DATE)
    made.last_translator = made.language_team = made.msgid_bugs_address = "StepFlow"
    out = io.BytesIO()
    write_po(out, made, width=0, include_lineno=False, sort_output=False)
    return re.sub(rb'^"Generated-By:.*\n', b"", out.getvalue(), flags=re.MULTILINE)


def mo_bytes(po: bytes, locale: str) -> bytes:
    """The catalog as gettext reads it."""
    out = io.BytesIO()
    write_mo(out, read_po(io.BytesIO(po), locale=locale, domain=DOMAIN))
    return out.getvalue()


def missing(made: Catalog) -> list[str]:
    """Messages without a translation."""
    return [forms(message.id)[0] for message in made if message.id and not all(forms(message.string))]


def forms(text: str | Sequence[str | None] | None) -> tuple[str, ...]:
    """The forms of a message, one where it has no plural."""
    return (text or "",) if isinstance(text, str) or text is None else tuple(form or "" for form in text)


def fill(made: Catalog, strings: Mapping[str, str]) -> None:
    """Enter translations by English text; empty ones change nothing."""
    for message in made:
        string = strings.get(forms(message.id)[0]) if message.id else None
        if string:
            message.string = (string,) if message.pluralizable else string


def main() -> int:
    """Bring the catalogs up to date and list what has no translation yet."""
    parser = argparse.ArgumentParser(description="Collect the texts to translate, compile the catalogs.")
    parser.add_argument(
        "--fill", type=Path, metavar="FILE", help="JSON of English texts and their translations to enter"
    )
    parser.add_argument(
        "--missing", type=Path, metavar="FILE", help="write what has no translation there, to be filled"
    )
    parser.add_argument("--locale", choices=CATALOGS, default=CATALOGS[0])
    arguments = parser.parse_args()
    texts = collect()
    for locale in CATALOGS:
        made = merged(locale, texts)
        if arguments.fill and locale == arguments.locale:
            fill(made, json.loads(arguments.fill.read_text(encoding="utf-8")))
        _write(locale, made)
        left = missing(made)
        if arguments.missing and locale == arguments.locale:
            arguments.missing.write_text(
                json.dumps(dict.fromkeys(left, ""), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
            )
        sys.stdout.write("".join(f"{locale}: no translation: {message!r}\n" for message in left))
        sys.stdout.write(f"{locale}: {len(texts)} texts, {len(left)} without translation\n")
    return 0


def _write(locale: str, made: Catalog) -> None:
    po, path = po_bytes(made), po_path(locale)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(po)
    path.with_suffix(".mo").write_bytes(mo_bytes(po, locale))


if __name__ == "__main__":
    sys.exit(main())
