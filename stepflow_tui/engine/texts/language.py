"""The language people read: English sentences are the keys, a gettext catalog holds the others.

The journal keeps codes, parameters and English sentences; whoever shows them translates, so one journal reads in every
language. Sentences that were finished where they arose (errors, reasons) are found again by their template: `known`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gettext import NullTranslations

DOMAIN = "stepflow"
LANGUAGES = {"en": "English", "zh": "简体中文"}
"""What `--lang` takes."""
_CATALOGS = {"zh": "zh_CN"}
_FOLDER = Path(__file__).parents[2] / "locale"
_PLACE = re.compile(r"\{\d+\}")

_now: NullTranslations | None = None
_language = "en"


def wanted(asked: str | None, env: Mapping[str, str]) -> str:
    """The language to use: the one asked for, else the environment's, else English.

    The order LANGUAGE, LC_ALL, LC_MESSAGES, LANG is gettext's own; so is that LANGUAGE counts for nothing in the locales C
    and POSIX, which mean English.
    """
    if asked is not None:
        return _by_locale(asked)
    locale = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    if locale in ("C", "POSIX"):
        return "en"
    first = next((name for name in env.get("LANGUAGE", "").split(":") if name), locale)
    return _by_locale(first)


def spoken(name: str) -> bool:
    """Whether a name (`zh`, `zh_CN`, `en-GB`) means a language there is."""
    code = name.partition(".")[0].replace("-", "_").lower().partition("_")[0]
    return code in LANGUAGES and _by_locale(name) == code


def _by_locale(name: str) -> str:
    code = name.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    traditional = code.startswith(("zh_tw", "zh_hk", "zh_mo", "zh_hant"))
    return "zh" if code.startswith("zh") and not traditional else "en"


def use(language: str) -> None:
    """Show texts in this language from now on."""
    global _now, _language  # noqa: PLW0603 - a process speaks one language, chosen once at its start
    _language = language
    _now = _catalog(_CATALOGS[language]) if language in _CATALOGS else None
    _templates.cache_clear()
    known.cache_clear()


def _catalog(name: str) -> NullTranslations:
    import gettext  # English, the language of most calls, needs no catalog

    return gettext.translation(DOMAIN, _FOLDER, [name], fallback=True)


def language() -> str:
    """The language in use."""
    return _language


def _(message: str) -> str:
    """The message in the language in use; the message itself where it has no translation."""
    return message if _now is None or not message else _now.gettext(message)


def ngettext(one: str, many: str, number: int) -> str:
    """The form for this number."""
    if _now is None:
        return one if number == 1 else many
    return _now.ngettext(one, many, number)


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "to be translated where it is shown"
    """Marks a message that is kept in English and translated when it is shown."""
    return message


@lru_cache(maxsize=8192)
def known(sentence: str) -> str:
    """A finished English sentence in the language in use, found by the template it was made from.

    Templates have numbered places (`{0} exists already.`); the one with the most letters of its own wins. What stands in a
    place may be a sentence of ours again (`the table can't be carried: …`). Several lines are looked at one by one. A
    sentence that no template made (a server's words, a name) stays as it is.
    """
    exact = _(sentence)
    if exact != sentence or _language == "en":
        return exact
    problem = _problem(sentence)
    if problem != sentence:
        return problem
    for template in _templates():
        values = template.places(sentence)
        if values is not None:
            return template.translated.format(*map(inner, values))
    if "\n" in sentence:
        return "\n".join(map(known, sentence.split("\n")))
    text, got, value = sentence.partition(", got ")
    return known(text) + _(", got {0}").format(value) if got and known(text) != text else sentence


_PROBLEM = re.compile(r"(?P<where>\S.*?:\d+:(?: [\w.\[\]-]+:)?) (?P<text>.*?)(?: \((?P<hint>.*)\))?")


def _problem(line: str) -> str:
    """A line about a config, `file:line: key: problem (hint)`; any other as it is."""
    found = _PROBLEM.fullmatch(line)
    if found is None:
        return line
    hint = f" ({known(found['hint'])})" if found["hint"] else ""
    return f"{found['where']} {known(found['text'])}{hint}"


def inner(value: str) -> str:
    """What stands in a place of a sentence: another sentence of ours, a list of them, or somebody else's words.

    A single word is a name or a value, even where it looks like a word of ours; but for what a rollback would lose.
    """
    if " " not in value:
        return _(value) if value == "nothing" else value
    found = known(value)
    if found == value and ("; " in value or ", " in value):
        parts = _LISTED.split(value)
        told = [inner(part) for part in parts[::2]]
        ours = [new != old for new, old in zip(told, parts[::2], strict=True)]
        signs = [_WIDE[s] if ours[n] and ours[n + 1] else s for n, s in enumerate(parts[1::2])]
        return "".join(text for pair in zip(told, [*signs, ""], strict=True) for text in pair)
    return found


_LISTED = re.compile(r"(; |, )")
_WIDE = {"; ": "；", ", ": "，"}
"""Between two sentences that were translated; somebody else's words stay as they are."""


FEW = 9
"""Letters of its own that a template needs when it begins with a place for any text."""


class _Template:
    """A message with numbered places and its translation. The pattern is made when a sentence holds all its own words."""

    __slots__ = ("_pattern", "pieces", "translated", "weight")

    def __init__(self, message: str, translated: str) -> None:
        places = [int(p[1:-1]) for p in _PLACE.findall(message)]
        assert places == list(range(len(places))), f"places out of order: {message}"
        self.pieces = [_unescaped(p) for p in _PLACE.split(message)]
        self.translated = translated
        self.weight = sum(map(len, self.pieces))
        self._pattern: re.Pattern[str] | None = None

    def places(self, sentence: str) -> tuple[str, ...] | None:
        """What stands in the places, if the sentence was made from this template."""
        first, last = self.pieces[0], self.pieces[-1]
        if not (sentence.startswith(first) and sentence.endswith(last) and all(p in sentence for p in self.pieces)):
            return None
        if self._pattern is None:
            self._pattern = re.compile("(.*?)".join(map(re.escape, self.pieces)), re.DOTALL)
        match = self._pattern.fullmatch(sentence)
        # few words of ours behind somebody else's sentence prove nothing (`{0} texts`)
        if match is None or (not self.pieces[0] and self.weight < FEW and " " in match[1]):
            return None
        return match.groups()


def _unescaped(piece: str) -> str:
    return piece.replace("{{", "{").replace("}}", "}")


@lru_cache(maxsize=1)
def _templates() -> list[_Template]:
    """All messages with numbered places, the most specific first."""
    catalog: Mapping[object, str] = getattr(_now, "_catalog", {})
    found = [_Template(k, v) for k, v in catalog.items() if isinstance(k, str) and v and _PLACE.search(k)]
    return sorted(found, key=lambda t: -t.weight)
