"""Rules for the application's file of environment variables: what must stand in it, and what must not. Names alone are told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from stepflow_tui.engine.application.settings_files.dotenv import Entry, entries
from stepflow_tui.engine.model.config_application import EnvFile

PASSWORD_LENGTH = 12
"""Shortest password that is known by its name only; `secrets` and `min_secret` ask for more."""
SHORTEST_VARIED = 5
"""A secret with fewer different characters is none."""

_PLACEHOLDER = re.compile(
    r"<[^<>]*>|\bchange[-_ ]?(me|this|it)\b|\breplace[-_ ]?(me|this|with)?\b|\byour[-_ ]|(^|[^a-z])xxx+([^a-z]|$)|\bto[-_ ]?do\b"
    r"|\bfix[-_ ]?me\b|\btbd\b|\bexample\b|\bplaceholder\b|\binsert[-_ ]|\benter[-_ ]your\b|\bfill[-_ ]?(me|in)\b",
    re.IGNORECASE,
)
_WEAK = frozenset(
    {"password", "passwort", "passwd", "pass", "secret", "secretkey", "supersecret", "mysecret", "mysecretkey", "topsecret",
     "jwtsecret", "sessionsecret", "appsecret", "verysecret", "verysecretkey", "keyboardcat", "admin", "administrator", "root",
     "user", "postgres", "postgresql", "mysql", "redis", "guest", "test", "testing", "dev", "development", "devsecret",
     "default", "demo", "local", "qwerty", "qwertz", "letmein", "welcome", "hunter", "token", "apikey", "key", "abc", "foobar",
     "foo", "bar", "none", "null", "nothing", "insecure", "unsafe", "dummy", "sample", "temp", "temporary"}
)  # fmt: skip
_URL_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:([^\s@/]*)@")
_ENDS = (
    "SECRET",
    "SEKRET",
    "GEHEIM",
    "GEHEIMNIS",
    "TOKEN",
    "PASSWORD",
    "PASSWORT",
    "PASSWD",
    "PWD",
    "PASSPHRASE",
    "SALT",
)
_KEYS = ("SECRET", "PRIVATE", "ENCRYPTION", "SIGNING", "JWT", "SESSION", "AUTH", "APP", "MASTER", "COOKIE")
_PASSWORDS = ("PASSWORD", "PASSWORT", "KENNWORT", "PASSWD", "PWD", "PASSPHRASE")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvProblems:
    """Names of variables by what is the matter with them, each sorted. `differing` are those of the compared file."""

    missing: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    not_demanded: tuple[str, ...] = ()
    checked: int = 0

    @property
    def grave(self) -> bool:
        """Whether a production application must not start with it."""
        return bool(self.missing or self.placeholders or self.short or self.weak or self.not_demanded)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvDifferences:
    """Names that only one of two files has, or that have other values, each sorted."""

    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    different: tuple[str, ...]


def problems(text: str, rules: EnvFile) -> EnvProblems:
    """Hold a file against its rules."""
    found = entries(text)
    values = {e.name: e.value for e in found}
    secret = [n for n in values if matches(n, rules.secrets)]
    needed = {*secret, *(n for n in values if matches(n, rules.required))} - set(rules.demand)
    held = {n: v for n, v in values.items() if n not in rules.demand}
    return EnvProblems(
        missing=_sorted(p for p in {*rules.required, *rules.demand} if not any(fnmatchcase(n, p) for n in values)),
        twice=_sorted(_twice(found)),
        placeholders=_sorted(n for n, v in held.items() if _PLACEHOLDER.search(v) or (not v.strip() and n in needed)),
        empty=_sorted(n for n, v in held.items() if not v.strip() and n not in needed),
        short=_sorted(n for n, v in values.items() if v and len(v) < _shortest(n, rules)),
        weak=_sorted(n for n, v in values.items() if v and is_weak(n, v, secret=n in secret)),
        not_demanded=_sorted(_against(values, rules)),
        checked=len(values),
    )


def differences(here: str, there: str) -> EnvDifferences:
    """What two files differ in."""
    ours, theirs = ({e.name: e.value for e in entries(t)} for t in (here, there))
    return EnvDifferences(
        only_here=_sorted(set(ours) - set(theirs)),
        only_there=_sorted(set(theirs) - set(ours)),
        different=_sorted(n for n in set(ours) & set(theirs) if ours[n] != theirs[n]),
    )


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns (`*_KEY`) means the name."""
    return any(fnmatchcase(name, p) for p in patterns)


def is_weak(name: str, value: str, *, secret: bool) -> bool:
    """Whether a secret, or the password in an address, is one that everybody tries first."""
    in_address = _URL_PASSWORD.match(value)
    if in_address and _guessed(in_address[1]):
        return True
    return (secret or bool(_sounds_secret(name))) and _guessed(value)


def _guessed(value: str) -> bool:
    low = value.lower()
    stem = low.rstrip("0123456789!?.*-_")  # Password123!
    letters = re.sub(r"[^a-z]", "", stem.replace("0", "o").replace("3", "e").replace("$", "s").replace("@", "a"))
    plain = re.sub(r"[^a-z]", "", low)
    if plain in _WEAK or letters in _WEAK or low.startswith("django-insecure"):
        return True
    return len(set(value)) < SHORTEST_VARIED or low in "01234567890123456789" or low in "abcdefghijklmnopqrstuvwxyz"


def _sounds_secret(name: str) -> str:
    """`long` for a key of the application's own making, `password`, or "": keys that others issue have the length they have."""
    words = name.upper().split("_")
    if words[-1].endswith(_PASSWORDS):
        return "password"
    own_key = words[-1] == "KEY" and len(words) > 1 and words[-2] in _KEYS
    return "long" if own_key or words[-1].endswith(_ENDS) else ""


def _shortest(name: str, rules: EnvFile) -> int:
    if matches(name, rules.secrets):
        return rules.min_secret
    return {"long": rules.min_secret, "password": min(PASSWORD_LENGTH, rules.min_secret)}.get(_sounds_secret(name), 0)


def _against(values: Mapping[str, str], rules: EnvFile) -> Iterable[str]:
    for pattern, demanded in rules.demand.items():
        yield from (n for n, v in values.items() if fnmatchcase(n, pattern) and v != demanded.get_secret_value())


def _twice(found: Iterable[Entry]) -> Iterable[str]:
    return (name for name, count in Counter(e.name for e in found).items() if count > 1)


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
