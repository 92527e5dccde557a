"""Which names say that what stands beside them is nobody's business: of variables, settings, keys and options.

A rule over the words of a name, in English and German: `AUTH_KEY` is one and `AUTHOR` is none. It leans to the careful side:
a plain value that is hidden by mistake costs little.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD = re.compile(r"[A-ZÄÖÜ]+(?![a-zäöüß])|[A-ZÄÖÜ]?[a-zäöüß]+")
_WORDS = _set(
    "key keys pass pw pwd pin auth oauth jwt salt cookie cookies cert bearer webhook sid signature dsn psk otp totp hmac pem "
    "authorization authentication token tokens creds private privat schlüssel schluessel"
)
"""Whole words, because as parts they stand in AUTHOR, KEYBOARD, MONKEY, PINNED, COMPASS and SALTED."""
_PARTS = re.compile(
    r"passw|passphra|passcode|passwd|kennw|secret(?!ar|ion)|sekret(?!ar|är|ion)|geheim(?!rat)|credential|zugangsdat|losung(?!en)|"
    r"api_?key|access_?key|private_?key|privatekey|signing_?key|encryption_?key|master_?key|authkey|oauth"
)
"""Parts of names written in one piece (`dbpassword`, `clientsecret`)."""
_ENDS = ("pass", "pwd", "token", "dsn", "psk")
_NO_PASS = _set("bypass compass trespass overpass underpass surpass encompass")
_OPEN_KEYS = _set("public primary foreign partition sort cache hot shortcut")
"""Words before `key` that say that it opens nothing."""
_COUNTS = _set("max min num count total limit n")
"""Words before `tokens` that make it a number."""


@lru_cache(maxsize=4096)
def sounds_secret(name: str) -> bool:
    """Whether the value beside that name is likely to be a secret.

    Args:
        name: in snake, kebab or camel case, in capitals, or with dots.
    """
    words = [w.lower() for w in _WORD.findall(name)]
    if _PARTS.search("".join(words)) or _PARTS.search(name.lower()):
        return True
    telling = (_tells(before, word) for before, word in pairwise(["", *words]))
    return any(telling)


def _tells(before: str, word: str) -> bool:
    if word in ("key", "keys"):
        return before not in _OPEN_KEYS
    if word == "tokens":
        return before not in _COUNTS
    return word in _WORDS or (word.endswith(_ENDS) and word not in _NO_PASS)


_PLAIN = re.compile(r"\d{1,5}|true|false|yes|no|on|off", re.ASCII | re.IGNORECASE)


def plain(name: str, value: str) -> bool:
    """Whether a setting is a port, a count or a switch, and its name promises nothing else: hiding `8000` wherever it stands
    would blot out addresses, and protect nothing."""
    return _PLAIN.fullmatch(value) is not None and not sounds_secret(name)
