"""Reads a target's address (URI, or keywords and values) and libpq's environment into plain parameters. Opens no connection.

No message of this module ever repeats the address: it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.model import dsn_words

TLS_OPTIONS = (
    "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "sslnegotiation",
    "ssl_min_protocol_version", "ssl_max_protocol_version",
)  # fmt: skip
"""TLS settings handed to both drivers."""

SESSION_OPTIONS = ("options", "target_session_attrs")
LIBPQ_ONLY = ("channel_binding", "gssencmode", "require_auth", "requirepeer", "krbsrvname", "sslsni", "passfile")
"""Accepted, and handed to libpq only."""

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_MAIN = ("host", "port", "dbname", "user", "password", "sslmode", "connect_timeout", "service", "schema")
_OURS = (
    "application_name", "fallback_application_name", "client_encoding",
    "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
)  # fmt: skip
_OF_OTHERS = ("connection_limit", "pool_timeout", "socket_timeout", "pgbouncer", "statement_cache_size", "sslaccept")
"""Parameters that Prisma adds to the same variable: they say nothing about the server."""

_ENVIRONMENT = {
    "PGHOST": "host", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user", "PGPASSWORD": "password",
    "PGSSLMODE": "sslmode", "PGCONNECT_TIMEOUT": "connect_timeout", "PGSERVICE": "service", "PGOPTIONS": "options",
    "PGSSLROOTCERT": "sslrootcert", "PGSSLCERT": "sslcert", "PGSSLKEY": "sslkey", "PGSSLCRL": "sslcrl",
    "PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version", "PGSSLMAXPROTOCOLVERSION": "ssl_max_protocol_version",
    "PGSSLNEGOTIATION": "sslnegotiation", "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGCHANNELBINDING": "channel_binding", "PGGSSENCMODE": "gssencmode", "PGREQUIREAUTH": "require_auth",
    "PGREQUIREPEER": "requirepeer", "PGKRBSRVNAME": "krbsrvname", "PGPASSFILE": "passfile",
}  # fmt: skip

_URI = re.compile(r"postgres(?:ql)?://(?P<authority>[^/?#]*)(?:/(?P<path>[^?#]*))?(?:\?(?P<query>[^#]*))?\Z", re.DOTALL)
_HINT = "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with @ : / ? # and % in names or password percent-encoded."
_WORDS_HINT = (
    "Such as host=HOST port=5432 dbname=DATABASE user=USER; values with blanks in '…', with \\' for a quotation mark."
)
_KNOWN = frozenset({*_MAIN, *TLS_OPTIONS, *SESSION_OPTIONS, *LIBPQ_ONLY})


def _bad(problem: str, hint: str = _HINT) -> UsageError:
    return UsageError(f"`target.dsn` can't be read: {problem}.", hint=hint, code="dsn")


def from_environment(env: Mapping[str, str]) -> dict[str, str]:
    """libpq's environment variables as parameters; empty ones count as missing."""
    return {key: env[name] for name, key in _ENVIRONMENT.items() if env.get(name)}


def parse(dsn: str) -> dict[str, str]:
    """An address in either of libpq's forms as its parameters. A value may be empty: libpq then takes its own default.

    Raises:
        UsageError: libpq would not take it, or it holds what StepFlow can't hand on; the message never holds its text.
    """
    dsn = dsn.strip()
    return _parse_words(dsn) if dsn_words.in_words(dsn) else parse_uri(dsn)


def _parse_words(dsn: str) -> dict[str, str]:
    try:
        given = dsn_words.options(dsn)
    except dsn_words.BadWordsError as exc:
        raise _bad(str(exc), _WORDS_HINT) from None
    unknown = [key for key in given if key not in _KNOWN and key not in _OURS]
    if unknown:
        raise _bad(f"the keyword {_shown(unknown[0])!r} is not known", _WORDS_HINT)
    return {key: value for key, value in given.items() if key in _KNOWN}


def _shown(key: str) -> str:
    return key if re.fullmatch(r"[a-z_]{1,40}", key) else "(unreadable)"


def parse_uri(dsn: str) -> dict[str, str]:
    """A connection URI as libpq parameters (`host` and `port` comma-separated lists).

    Raises:
        UsageError: it isn't a URI that libpq would take; the message names the part, never its text.
    """
    if not re.match(r"postgres(ql)?://", dsn):
        raise _bad(_scheme_problem(dsn))
    match = _URI.match(dsn)
    if match is None:
        raise _bad("it holds a # or a ? that is not percent-encoded")
    found: dict[str, str] = {}
    auth, at, hostspec = match["authority"].rpartition("@")
    if "@" in auth:
        raise _bad("user or password hold an @ that is not percent-encoded (%40)")
    if at:
        user, colon, password = auth.partition(":")
        found |= {"user": _decode(user, "user")} if user else {}
        found |= {"password": _decode(password, "password")} if colon and password else {}
    if hostspec:
        found |= _hosts(hostspec)
    if match["path"]:
        found["dbname"] = _decode(match["path"], "database")
    return found | _query(match["query"] or "")


def _scheme_problem(dsn: str) -> str:
    scheme = re.match(r"([a-z][a-z0-9+.-]*):", dsn, re.IGNORECASE)
    if scheme and scheme[1].lower().startswith(("postgres", "jdbc")):
        return f"its scheme is {scheme[1]!r}, libpq knows postgresql and postgres"
    return "it starts with neither postgresql:// nor a keyword such as host="


def _decode(text: str, part: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise _bad(f"the {part} holds a % that is not percent-encoded (%25)")
    # surrogates stand for bytes that are no UTF-8; a decoding error would carry the text along
    decoded = unquote_to_bytes(text).decode("utf-8", "surrogateescape")
    if any("\ud800" <= c <= "\udfff" for c in decoded):
        raise _bad(f"the {part} is not percent-encoded UTF-8")
    if "\x00" in decoded:
        raise _bad(f"the {part} holds a NUL character")
    return decoded


def _hosts(hostspec: str) -> dict[str, str]:
    hosts, ports = [], []
    for entry in hostspec.split(","):
        match = re.fullmatch(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d*))?", entry)
        if match is None:
            raise _bad("the part after @ is not HOST:PORT; a password with / : @ or # must be percent-encoded")
        hosts.append(match["v6"] or _decode(match["name"] or "", "host"))
        ports.append(match["port"] or "")
    found = {"host": ",".join(hosts)} if any(hosts) else {}
    return found | ({"port": ",".join(ports)} if any(ports) else {})


def _query(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, query.split("&")):
        raw, equals, value = item.partition("=")
        key = {"database": "dbname"}.get(raw, raw)
        if not equals:
            raise _bad("a parameter after ? has no value")
        if key in _OURS or key in _OF_OTHERS:
            continue
        if key == "ssl" and value == "true":
            found["sslmode"] = "require"
        elif key in _KNOWN:
            found[key] = _decode(value, key)
        else:
            raise _bad(f"the parameter {_shown(key)!r} is not known")
    return found


def host_list(params: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Pairs of host (a leading `/` means a socket folder) and port, in the order of trying.

    Raises:
        UsageError: ports that are no numbers, or not as many as hosts.
    """
    hosts = params["host"].split(",")
    ports = params.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise _bad("there are not as many ports as hosts")
    if not all(port == "" or (port.isascii() and port.isdigit() and 0 < int(port) < 65536) for port in ports):
        raise _bad("a port is not a number from 1 to 65535")
    return tuple((host.strip("[]") or "localhost", int(port or 5432)) for host, port in zip(hosts, ports, strict=True))
