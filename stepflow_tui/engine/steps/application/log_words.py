"""What looks like a secret in the lines of an application's log, whoever wrote them and in whatever form.

Leans to the careful side, but leaves what an operator needs: names of settings, hosts, the errors' own words. Linear in the length of
the text: a log may hold a line of a megabyte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from stepflow_tui.engine.model.redact import MASK

_SECRET = re.compile(
    r"(?i)pass(?:word|wd|phrase|code)|passwort|kennwort|(?:^|[_.-])(?:pass|pw|pwd|psk|pin)$|^db_?pass$|pwd$|secret|(?<!max_)token(?!s?_?(?:count|limit|type))"
    r"|api_?-?key|access_?-?key|private_?-?key|(?<!foreign)(?<!primary)(?<!public)_key(?:[_.-]|$)|credential|(?:^|[_.-])auth$|^dsn$|[_.-]dsn$|signature|salt$|session_?id|^session$"
)
_HEADER = re.compile(
    r"""(?ix) (?<![\w-]) ( (?:(?:proxy-)?authorization|(?:set-)?cookie) \\?["']? \s* (?:=>|[:=,]) \s* )
    (?: (b?\\?["'])(?:(?!\2|\\?["']).)* | [^\r\n]+ )"""
)
"""Their values have several words: all of the line goes, or all between the quotation marks."""
_NAMED = re.compile(
    r"""(?x) (?<![\w.-]) ([\w.-]++) (?: \\?["']? \]? \s*+ (?:=>|->|=?\*{3}\s++|[:=]|%3[AaDd]) \s*+ | \\?["'] \s*+ , \s*+ (?=b?\\?["']) )"""
)
_VALUE = re.compile(
    r"""(?x) ( b?\\"(?:(?!\\").)*\\" | b?"(?:[^"\\\n]|\\.)*+" | b?'(?:[^'\\\n]|\\.)*+' | (?:bearer|basic)\s++\S++
    | \{[^{}\n]*+\} | \[[^\[\]\n]*+\] | (?![{\[]\s*(?:["'{\[]|$|[\w.-]{1,64}\s*[:=])) (?:(?![,;&}\])](?:\s|$|["'}\])]|[\w.-]{1,64}\s*[=:]))\S)++ )"""
)
_OPTION = re.compile(
    r"""(?ix) (--[\w-]*(?:passw|passphrase|secret|token|api-?key|access-?key|private-?key)[\w-]*\s+) ("[^"\n]*"|'[^'\n]*'|(?!-)\S+)"""
)
_WORD = re.compile(
    r"""(?ix) \b (passwords?|passwd|passphrase|token) (\s+ (?:[\w\s]{0,40}\bis:?\s+)?) (?: (["'])[^"'\n]+\3 | (?=\S*\d)(?=\S*[a-z])\S{6,} )"""
)
_ELEMENT = re.compile(r"(?i)(<[\w.:-]*(?:passw|secret|token|api-?_?key)[\w.:-]*>)[^<]+")
_QUERY = re.compile(r"(?i)([?&](?:key|sig|code|pass|auth)=)[^\s&\"']+")
_SCHEME = re.compile(r"(?i)\b(bearer|basic|negotiate)(\s+)(?=\S*[\d=]|\S{20})[\w.~+/=-]{6,}")
_IN_URL = re.compile(
    r"""(?ix) \b ([a-z][a-z0-9+.-]{0,40}:// | [a-z][a-z0-9+.-]{0,40}%3A%2F%2F(?=\S*%40))
    (?: [^\s/@"'<>]+(?:@[^\s/@"'<>]*)*@ | [^\s/:@]*:(?!\d+(?:/|\s|$))[^\s"'<>@]*@ | [^\s"'<>]*%40 )"""
)
_PASSWORD_IN_URL = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{0,40}://[^\s:/@]*:([^\s/@\"'<>]+)@")
_QUOTED = re.compile(r"""["']([^"']+)["']""")
_NOT_ALONE = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null"})
"""Switches: blotted out wherever they stand they would protect nothing."""
_BARE_LOGIN = re.compile(r"(?<![\w:/.@-])([\w.-]{1,64}:)(?!\d+@)[^\s:@/\"']{3,128}@(?!sha256:)(?=[\w-])")
_KEY_BLOCK = re.compile(
    r"(?s)-----BEGIN[A-Z ]*PRIVATE KEY-----.*?(?:-----END[A-Z ]*PRIVATE KEY-----|\Z)|\A(?:(?!-----BEGIN).)*?-----END[A-Z ]*PRIVATE KEY-----"
)
"""Cut at the beginning of the log, or at its end, it is one all the same."""
_TOKEN = re.compile(
    r"""(?x) \beyJ[\w-]{8,}(?:\.[\w-]+){1,4} | \b[srp]k_(?:live|test)_\w{8,} | \bsk-[\w-]{16,} | \bgh[pousr]_\w{16,}
    | \bgithub_pat_\w{16,} | \bglpat-[\w-]{16,} | \bxox[abeprs]-[\w-]{8,} | \b(?:AKIA|ASIA)[A-Z0-9]{12,} | \bAIza[\w-]{20,}"""
)


def without_secrets(text: str) -> str:
    """The text without what stands in addresses, beside names that sound secret, in headers and options, and without tokens
    that are known by their form."""
    text = _KEY_BLOCK.sub(MASK, text)
    text = _TOKEN.sub(MASK, text)
    text = _IN_URL.sub(rf"\1{MASK}@", text)
    text = _HEADER.sub(_header, text)
    text = _named(text)
    for pattern, kept in ((_OPTION, r"\1"), (_WORD, r"\1\2"), (_ELEMENT, r"\1"), (_QUERY, r"\1"), (_SCHEME, r"\1\2")):
        text = pattern.sub(kept + MASK, text)
    return _BARE_LOGIN.sub(rf"\1{MASK}@", text)


def secrets_in(text: str) -> Iterator[str]:
    """Values beside names that sound secret, and passwords in addresses, as they stand in a file of settings; those of addresses
    also as they were before they were written into one."""
    for value in _pairs(text):
        bare = value[0].strip("\\\"'")
        if bare[:1] == "{":
            yield from secrets_in(bare[1:-1])
        elif bare[:1] == "[":
            yield from _QUOTED.findall(bare)
        elif bare.lower() not in _NOT_ALONE:
            yield bare
    for found in _PASSWORD_IN_URL.finditer(text):
        yield from {found[1], unquote(found[1])}


def _pairs(text: str) -> Iterator[re.Match[str]]:
    """A value is looked for behind secret names alone: in `INFO: token=…` the first value holds the second name."""
    done = 0
    for found in _NAMED.finditer(text):
        secret = found.start() >= done and _SECRET.search(found[1][-200:])
        if secret and (value := _VALUE.match(text, found.end())):
            done = value.end()
            yield value


def _header(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2] or ''}{MASK}"


def _named(text: str) -> str:
    parts, done = [], 0
    for value in _pairs(text):
        parts += [text[done : value.start()], MASK]
        done = value.end()
    return "".join([*parts, text[done:]])
