"""What of a setting may be shown: plain words, and addresses without password, query and token. All else becomes `***`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stepflow_tui.engine.model.redact import MASK
from stepflow_tui.engine.model.secret_words import sounds_secret

_ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<place>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)
_DATABASES = ("postgres", "mysql", "mariadb", "sqlite", "file", "mssql", "oracle")
_PLAIN = re.compile(r"(?P<quote>[\"']?)[\w./:\-]{0,60}(?P=quote)")
_RANDOM = re.compile(r"(?=[^0-9]*\d)(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_\-]{16,}")
_SHORTEST = 3
"""A shorter password would blot out every text; the key's name and the address protect it."""


def shown(value: str | None, *, key: str, secrets: Iterable[str] = ()) -> str:
    """The value as a person may see it.

    Args:
        key: the setting's name; one that sounds secret hides everything.
        secrets: texts that must not be seen wherever they stand.
    """
    if value is None:
        return ""
    if sounds_secret(key):
        return MASK
    address = _ADDRESS.fullmatch(value)
    text = _address(address) if address else value if _PLAIN.fullmatch(value) and not _RANDOM.search(value) else MASK
    return MASK if any(len(s) >= _SHORTEST and s in text for s in secrets) else text


def _address(found: re.Match[str]) -> str:
    """`postgresql://user:***@host:5432/shop`; of other addresses only the host: paths may be tokens."""
    scheme, place, path = found["scheme"], found["place"], found["path"]
    login, at, host = place.rpartition("@")
    database = scheme.lower().startswith(_DATABASES)
    user, colon, _ = login.partition(":")
    who = (user if database else MASK) + (f":{MASK}" if colon else "") + "@" if at else ""
    rest = path if database else "/…" if path.strip("/") else path
    return f"{scheme}://{who}{host}{rest}{'?…' if found['rest'] else ''}"
