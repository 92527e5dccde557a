"""Source and target from the environment or a file of variables, as twelve-factor applications keep them.

`DATABASE_URL`, or `DATABASE_TYPE/HOST/PORT/NAME/USER/PASSWORD`; `SQLITE_PATH`; `SQLITE_BUSY_TIMEOUT` (milliseconds), each
with the config's prefix. They fill in what the config leaves out, before the schema looks at it. No message repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from pydantic_core import PydanticCustomError

from stepflow_tui.engine.config_dotenv import read_dotenv
from stepflow_tui.engine.config_yaml import Document
from stepflow_tui.engine.model import dsn_words
from stepflow_tui.engine.model.config_dsn import dsn_options

SECTION = "database_env"
POSTGRES = frozenset({"postgres", "postgresql", "psql", "pgsql", "postgis"})
SQLITE = frozenset({"sqlite", "sqlite3"})
PARTS = ("HOST", "PORT", "NAME", "USER", "PASSWORD")
_PART_NAMES = tuple(f"DATABASE_{p}" for p in PARTS)
NAMES = ("DATABASE_URL", "DATABASE_TYPE", *_PART_NAMES, "SQLITE_PATH", "SQLITE_BUSY_TIMEOUT")
"""Every variable that is read, without prefix."""

_PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OF_DRIVERS = frozenset(
    {"prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback", "command_timeout", "timeout",
     "conn_max_age", "conn_health_checks", "pool_size", "max_overflow", "min_size", "max_size", "server_settings"}
)  # fmt: skip
"""Parameters of drivers and frameworks: they say nothing about the server."""


@dataclass(slots=True)
class Found:
    """What the variables say: a side with the names of the variables that say it."""

    source: str | None = None
    source_by: str = ""
    target: str | None = None
    target_by: str = ""


class _Problem(Exception):
    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.text, self.hint = text, hint


@dataclass(slots=True, kw_only=True)
class Variables:
    """The variables of one config. `used` are those that were taken; `file` is where else they were looked for."""

    file: Path
    prefix: str
    env: Mapping[str, str]
    in_file: Mapping[str, str]
    there: bool
    used: dict[str, str] = field(default_factory=dict)

    def name(self, name: str) -> str:
        """The name with its prefix."""
        return self.prefix + name

    def get(self, name: str) -> str:
        """The value, "" when it is not set or empty; the process's environment wins."""
        full = self.prefix + name
        value = (self.env.get(full) or self.in_file.get(full) or "").strip()
        if value:
            self.used[full] = value
        return value


def fill_in(document: Document, expanded: dict[str, Any], env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Put source and target into the expanded config where it leaves them out.

    Args:
        document: gets the problems.
        expanded: the config's values; changed in place.
        env: the process's environment.
        folder: the config's folder.

    Returns:
        The variables that were used.

    Raises:
        ConfigError: the file of variables can't be read.
    """
    section = expanded.get(SECTION)
    if SECTION not in expanded or not (section is None or isinstance(section, dict)):
        return {}
    variables = _variables(section or {}, env, folder)
    if variables is None:
        return {}  # the schema says what is wrong with the section
    try:
        _give(expanded, variables, folder)
        _give_timeout(expanded, variables)
    except _Problem as problem:
        document.add((SECTION,), problem.text, problem.hint)
    return variables.used


def _give(expanded: dict[str, Any], v: Variables, folder: Path) -> None:
    source, target = _left_out(expanded, "source", "path"), _left_out(expanded, "target", "dsn")
    if not (source or target):
        return
    found = _sides(v)
    deciding: set[str] = set()
    if source:
        _give_source(expanded, v, found)
        deciding.add(found.source_by)
    if target and _give_target(expanded, v, found):
        deciding |= {found.target_by} if found.target_by == v.name("DATABASE_URL") else set(map(v.name, _PART_NAMES))
    _refuse_own_switch(expanded, v, folder, deciding)


def _left_out(expanded: dict[str, Any], side: str, key: str) -> bool:
    """Whether the variables have to say it. What is no mapping is left to the schema."""
    section = expanded.get(side)
    if section is None:
        return True
    return isinstance(section, dict) and section.get(key) is None and section.get("embedded") != "true"


def _variables(section: dict[str, Any], env: Mapping[str, str], folder: Path) -> Variables | None:
    file, prefix = section.get("file") or ".env", section.get("prefix") or ""
    if not isinstance(file, str) or not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix) or "\x00" in file:
        return None
    path = Path(folder, Path(file).expanduser())
    known = read_dotenv(path, env)
    return Variables(file=path, prefix=prefix, env=env, in_file=known or {}, there=known is not None)


def _sides(v: Variables) -> Found:
    """Which side each variable names; two that name one side must agree."""
    found = Found()
    kind = _kind(v)
    by_url, url_kind = _from_url(v)
    parts = {p: v.get(f"DATABASE_{p}") for p in PARTS}
    path = v.get("SQLITE_PATH")
    if url_kind and kind and url_kind != kind and not path:
        raise _contradiction(v, "DATABASE_URL", "DATABASE_TYPE", f"one means {url_kind}, the other {kind}")
    if url_kind == "sqlite":
        found.source, found.source_by = by_url, v.name("DATABASE_URL")
    elif url_kind:
        found.target, found.target_by = by_url, v.name("DATABASE_URL")
    _add_path(v, found, path, "SQLITE_PATH")
    server = bool(parts["HOST"] or parts["USER"])
    if kind == "sqlite" and parts["NAME"] and not server:
        _add_path(v, found, parts["NAME"], "DATABASE_NAME")
    elif kind == "postgresql" or (server and (kind != "sqlite" or path)):
        _add_parts(v, found, parts)
    return found


def _kind(v: Variables) -> str:
    given = v.get("DATABASE_TYPE").lower()
    word = given.rsplit(".", 1)[-1].split("+")[0].removesuffix("_psycopg2")
    if not given or word in POSTGRES | SQLITE:
        return "" if not given else "sqlite" if word in SQLITE else "postgresql"
    raise _Problem(f"{v.name('DATABASE_TYPE')} names a database that StepFlow can't move", "postgresql or sqlite")


def _contradiction(v: Variables, one: str, other: str, how: str) -> _Problem:
    return _Problem(
        f"{v.name(one)} and {v.name(other)} contradict each other: {how}",
        f"set one of them, or both to the same; looked at: the environment, then {v.file}",
    )


def _from_url(v: Variables) -> tuple[str, str]:
    url = v.get("DATABASE_URL")
    scheme, _, rest = url.partition(":")
    word = scheme.lower().split("+")[0]
    if not url:
        return "", ""
    if dsn_words.in_words(url):
        return _checked(v, url), "postgresql"
    if word in SQLITE or word == "file":
        return str(_sqlite_path(v, rest, word)), "sqlite"
    if word in POSTGRES and rest.startswith("//"):
        return _postgres_url(v, rest), "postgresql"
    raise _Problem(
        f"{v.name('DATABASE_URL')} is neither a PostgreSQL nor a SQLite address",
        "postgresql://USER:PASSWORD@HOST:5432/DATABASE, or sqlite:///relative/path, sqlite:////absolute/path",
    )


def _sqlite_path(v: Variables, rest: str, word: str) -> Path:
    """`///rel`, `////abs`; Prisma's `file:./dev.db`. Percent-encoding is undone unless a file has the name as it stands."""
    raw = rest.partition("?")[0].partition("#")[0]
    if raw.startswith("//"):
        host, slash, raw = raw[2:].partition("/")
        if host or not slash:
            raise _Problem(
                f"{v.name('DATABASE_URL')} names no file: SQLite addresses have three slashes, or four",
                "sqlite:///relative/path, or sqlite:////absolute/path",
            )
        raw = f"/{raw}" if word == "file" else raw
    if raw in ("", ":memory:", "/:memory:"):
        raise _Problem(f"{v.name('DATABASE_URL')} means a database in memory, which can't be moved", "name its file")
    return _at(v, raw)


def _at(v: Variables, raw: str) -> Path:
    """A path relative to the folder of the file of variables."""
    plain = Path(v.file.parent, Path(raw).expanduser())
    decoded = Path(v.file.parent, Path(unquote(raw, errors="surrogateescape")).expanduser())
    return plain if plain == decoded or plain.exists() else decoded


def _postgres_url(v: Variables, rest: str) -> str:
    """The address as libpq takes it: without the driver's name and its parameters."""
    place, mark, query = rest.partition("?")
    kept = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _OF_DRIVERS:
            kept.append(("sslmode" if key == "ssl" and value in _SSL_MODES else key, value))
    text = f"postgresql:{place}" + (f"?{urlencode(kept, quote_via=quote, safe='/,:')}" if mark and kept else "")
    return _checked(v, text)


def _checked(v: Variables, text: str) -> str:
    try:
        dsn_options(text)
    except PydanticCustomError as exc:
        context = exc.context or {}
        raise _Problem(f"{v.name('DATABASE_URL')}: {context['text']}", str(context["hint"])) from None
    return text


def _add_path(v: Variables, found: Found, raw: str, name: str) -> None:
    if not raw:
        return
    if "://" in raw or raw.startswith("file:"):
        raise _Problem(f"{v.name(name)} is an address, not a path", f"put addresses into {v.name('DATABASE_URL')}")
    path = str(Path(v.file.parent, Path(raw).expanduser()))
    if found.source is not None and _real(found.source) != _real(path):
        other = found.source_by.removeprefix(v.prefix)
        raise _contradiction(v, other, name, "they name different files")
    found.source, found.source_by = path, v.name(name)


def _real(path: str) -> str:
    return str(Path(path).resolve())


def _add_parts(v: Variables, found: Found, parts: Mapping[str, str]) -> None:
    """Host, port and the rest as an address; beside DATABASE_URL they must say the same."""
    if parts["PORT"] and not (parts["PORT"].isascii() and parts["PORT"].isdigit() and 0 < int(parts["PORT"]) < 65536):
        raise _Problem(f"{v.name('DATABASE_PORT')} is not a port", "a number from 1 to 65535")
    if found.target is not None:
        _agree(v, found.target, parts)
        return
    if not parts["NAME"]:
        name = v.name("DATABASE_NAME")
        raise _Problem(f"{name} isn't set, the other parts of the address are", f"{name}=…")
    found.target, found.target_by = _assembled(parts), v.name("DATABASE_HOST")


_OPTIONS = {"HOST": "host", "PORT": "port", "NAME": "dbname", "USER": "user", "PASSWORD": "password"}
_DEFAULTS = {"HOST": "localhost", "PORT": "5432"}


def _agree(v: Variables, dsn: str, parts: Mapping[str, str]) -> None:
    options = dsn_options(dsn)
    for part, key in _OPTIONS.items():
        given, there = parts[part].strip("[]"), options.get(key, _DEFAULTS.get(part, ""))
        if given and given != there:
            raise _contradiction(v, "DATABASE_URL", f"DATABASE_{part}", f"they name different {_WORDS[part]}")


_WORDS = {"HOST": "hosts", "PORT": "ports", "NAME": "databases", "USER": "users", "PASSWORD": "passwords"}


def _assembled(parts: Mapping[str, str]) -> str:
    user = quote(parts["USER"], safe="") + (f":{quote(parts['PASSWORD'], safe='')}" if parts["PASSWORD"] else "")
    host, query = parts["HOST"], {}
    if host.startswith("/"):  # a socket's folder
        query = {"host": host} | ({"port": parts["PORT"]} if parts["PORT"] else {})
        place = ""
    else:
        name = f"[{host.strip('[]')}]" if host.count(":") > 1 else host
        place = name + (f":{parts['PORT']}" if parts["PORT"] and name else "")
        query = {"port": parts["PORT"]} if parts["PORT"] and not name else {}
    rest = f"?{urlencode(query, quote_via=quote, safe='/')}" if query else ""
    return f"postgresql://{user}{'@' if user else ''}{place}/{quote(parts['NAME'], safe='')}{rest}"


def _give_source(expanded: dict[str, Any], v: Variables, found: Found) -> None:
    if found.source is None:
        names = ", ".join(v.name(n) for n in ("SQLITE_PATH", "DATABASE_URL"))
        raise _Problem(
            f"`source.path` is left out, and no variable names the SQLite file{_where(v)}",
            f"set {names.replace(', ', ', or ')} (sqlite:///…), or write source: {{path: …}}",
        )
    expanded["source"] = {**(expanded.get("source") or {}), "path": found.source}


def _where(v: Variables) -> str:
    return "" if v.there else f" (there is no {v.file})"


def _give_target(expanded: dict[str, Any], v: Variables, found: Found) -> bool:
    """Whether a variable named it; libpq's own variables may."""
    if found.target is None:
        if any(v.env.get(name) for name in ("PGHOST", "PGSERVICE", "PGDATABASE")):
            return False
        url, host = v.name("DATABASE_URL"), v.name("DATABASE_HOST")
        raise _Problem(
            f"`target.dsn` is left out, and no variable names the PostgreSQL database{_where(v)}",
            f"set {url} (postgresql://…), or {host} with …NAME, …USER, …PASSWORD; or write target: {{dsn: …}}",
        )
    expanded["target"] = {**(expanded.get("target") or {}), "dsn": found.target}
    return True


def _give_timeout(expanded: dict[str, Any], v: Variables) -> None:
    given = v.get("SQLITE_BUSY_TIMEOUT")
    source = expanded.get("source")
    if not given or not isinstance(source, dict) or source.get("busy_timeout") is not None:
        return
    if not re.fullmatch(r"\d{1,9}", given):
        raise _Problem(f"{v.name('SQLITE_BUSY_TIMEOUT')} is not a number of milliseconds", "digits only, such as 5000")
    source["busy_timeout"] = f"{given}ms"


def _refuse_own_switch(expanded: dict[str, Any], v: Variables, folder: Path, deciding: set[str]) -> None:
    """A variable that the switch changes says something else afterwards: the run would not find its own sides again."""
    application = expanded.get("application")
    switches = application.get("switches") if isinstance(application, dict) else None
    read = {name for name in deciding if not v.env.get(name)}
    for switch in switches if isinstance(switches, list) else ():
        keys = switch.get("set") if isinstance(switch, dict) else None
        if not isinstance(keys, dict) or not isinstance(switch.get("file"), str):
            continue
        same = Path(folder, Path(switch["file"]).expanduser()).resolve() == v.file.resolve()
        changed = sorted(read & set(keys)) if same else []
        if changed:
            raise _Problem(
                f"{changed[0]} is read here and changed by `application.switches`: afterwards the run could not find its sides",
                "write source.path and target.dsn into the config, or let this section read another file or prefix",
            )
