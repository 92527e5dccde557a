"""Reads libpq's password and service files, by libpq's rules."""

from __future__ import annotations

import configparser
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from stepflow_tui.engine.errors import UsageError

DEFAULT_SOCKET_FOLDERS = ("/run/postgresql", "/var/run/postgresql", "/tmp")  # noqa: S108 - libpq's own default folders


def home(env: Mapping[str, str]) -> Path:
    """The home folder of that environment."""
    return Path(env["HOME"]) if env.get("HOME") else Path.home()


def find_password(path: Path, hosts: Iterable[tuple[str, int]], database: str, user: str) -> str | None:
    """The password a .pgpass file holds for one of the hosts, None without one.

    A file that group or others may read is ignored, as libpq does.
    """
    try:
        if not path.is_file() or path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return None
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    entries = [_fields(line) for line in lines if line.strip() and not line.startswith("#")]
    for host, port in hosts:
        names = {host, "localhost"} if host in DEFAULT_SOCKET_FOLDERS else {host}
        wanted = (names, {str(port)}, {database}, {user})
        for entry in entries:
            if len(entry) == 5 and all(f == "*" or f in w for f, w in zip(entry[:4], wanted, strict=True)):
                return entry[4]
    return None


def _fields(line: str) -> list[str]:
    parts = re.split(r"(?<!\\)((?:\\\\)*):", line, maxsplit=4)
    # the pattern keeps the escaped backslashes in front of each separator as a part of its own
    joined = [a + b for a, b in zip(parts[0::2], [*parts[1::2], ""], strict=True)]
    return [re.sub(r"\\(.)", r"\1", part) for part in joined]


def read_service(name: str, env: Mapping[str, str]) -> dict[str, str]:
    """The parameters of one section of the service file.

    Raises:
        UsageError: there is no such section.
    """
    candidates = [Path(env["PGSERVICEFILE"])] if env.get("PGSERVICEFILE") else [home(env) / ".pg_service.conf"]
    if env.get("PGSYSCONFDIR"):
        candidates.append(Path(env["PGSYSCONFDIR"]) / "pg_service.conf")
    for path in candidates:
        # '%' is an ordinary character in passwords, so no interpolation
        parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as exc:
            # the parser's words may quote a line, and with it a password
            raise UsageError(
                f"The service file {path} can't be read.",
                detail=type(exc).__name__,
                hint="It needs a `[name]` line, then lines `key=value`.",
                code="service_file",
            ) from None
        if parser.has_section(name):
            return dict(parser.items(name))
    raise UsageError(
        f"The PostgreSQL service {name!r} is not defined.",
        detail="looked in " + ", ".join(str(p) for p in candidates),
        hint="Add the section to the service file, or correct PGSERVICE.",
        code="service_missing",
    )
