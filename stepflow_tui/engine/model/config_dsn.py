"""What can be said about a connection string without connecting: is it usable, whom does it mean. Never repeats its text."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from stepflow_tui.engine.model import dsn_words
from stepflow_tui.engine.model.config_units import problem

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FORM = "postgresql://user:password@host:5432/database, or host=… dbname=…"


def check_dsn(dsn: str) -> None:
    """Raise the problem with a connection string, if there is one."""
    options = dsn_options(dsn)
    mode = options.get("sslmode")
    if mode is not None and mode not in _SSL_MODES:
        raise problem("sslmode has an unknown value", f"one of {', '.join(_SSL_MODES)}")


def dsn_options(dsn: str) -> dict[str, str]:
    """The options of a connection string by libpq's names (host, port, dbname, user, password, sslmode …)."""
    text = dsn.strip()
    if re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
        return _uri_options(text)
    return _keyword_options(text)


def _uri_options(text: str) -> dict[str, str]:
    scheme = text.split("://", 1)[0].lower()
    if scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise problem("not a PostgreSQL address", _FORM)
    if "+" in scheme:
        raise problem("the address names a driver", "write postgresql:// without +driver")
    try:
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise problem("not a PostgreSQL address", _FORM) from None
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    names, ports = _hosts(hosts)
    found = {
        "host": names,
        "port": ports,
        "dbname": unquote(parts.path.lstrip("/")),
        "user": unquote(user),
        "password": unquote(password),
    }
    return {k: v for k, v in found.items() if v} | query


def _hosts(text: str) -> tuple[str, str]:
    names, ports = [], []
    for entry in filter(None, text.split(",")):
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(\d*))?", entry)
        if match is None:
            raise problem("host or port can't be read", f"{_FORM}; percent-encode @ : / # in a password")
        names.append(unquote(match[1].strip("[]")))
        ports.append(match[2] or "")
    return ",".join(names), ",".join(ports) if any(ports) else ""


def _keyword_options(text: str) -> dict[str, str]:
    try:
        found = dsn_words.options(text)
    except dsn_words.BadWordsError as exc:
        raise problem(f"not a PostgreSQL address: {exc}", _FORM) from None
    if not found:
        raise problem("not a PostgreSQL address", _FORM)
    return {key: value for key, value in found.items() if value}


def dsn_identity(dsn: str) -> str:
    """Which database a connection string means: `host:port/dbname`, no user, no password, no options."""
    options = dsn_options(dsn)
    return f"{options.get('host', '')}:{options.get('port', '')}/{options.get('dbname', '')}"
