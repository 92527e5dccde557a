"""Reads a Compose file for one question: how many containers would use a folder's files? Docker is not needed for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1 << 20
"""Larger files are not read."""

_OVERRIDES = {
    "compose.yaml": "compose.override.yaml",
    "compose.yml": "compose.override.yml",
    "docker-compose.yaml": "docker-compose.override.yaml",
    "docker-compose.yml": "docker-compose.override.yml",
}
"""Files that Compose adds by itself."""
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Who would use the file: `replicas` of services that run more than once, `services` that mount its folder.

    `problem` tells why a file could not be read; then the rest is empty.
    """

    replicas: Mapping[str, int] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    problem: str = ""


def read_compose(file: Path, database: Path, service: str | None) -> Shares:
    """Look at a Compose file and the override beside it; blocking.

    Args:
        file: the file.
        database: the database's real path.
        service: the application's service; None: every service that mounts the database's folder.
    """
    try:
        services = _merged(file)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        return Shares(problem=str(error).partition("\n")[0] or type(error).__name__)
    env = {**_dotenv(file.parent), **os.environ}
    mounting = tuple(n for n, s in services.items() if _mounts(s, file.parent, database, env))
    asked = {service} if service is not None else set()
    counts = {n: _count(s, env) for n, s in services.items() if n in {*mounting, *asked}}
    return Shares(replicas={n: c for n, c in counts.items() if c > 1}, services=mounting)


def _merged(file: Path) -> dict[str, dict[str, Any]]:
    files = [file]
    if (beside := _OVERRIDES.get(file.name)) and (file.parent / beside).is_file():
        files.append(file.parent / beside)
    services: dict[str, dict[str, Any]] = {}
    for one in files:
        for name, written in _mapping(_load(one).get("services")).items():
            service = services.setdefault(str(name), {})
            for key, value in _mapping(written).items():
                both = isinstance(value, list) and isinstance(service.get(key), list)
                service[key] = [*service[key], *value] if both else value
    return services


def _load(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        raw = opened.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ValueError(f"{file.name} is larger than {MAX_BYTES} bytes")
    return _mapping(yaml.safe_load(raw.decode("utf-8")))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(service: Mapping[str, Any], env: Mapping[str, str]) -> int:
    """What is scaled by a variable that is not set runs once, as Compose has it; so does what can't be understood."""
    deploy = _mapping(service.get("deploy"))
    written = [_number(v, env) for v in (service.get("scale"), deploy.get("replicas"))]
    return 2 if deploy.get("mode") == "global" else max([1, *written])


def _number(value: Any, env: Mapping[str, str]) -> int:
    text = _expanded(str(value), env) if value is not None else ""
    return int(text) if text.isdecimal() and len(text) < 10 else 1


def _expanded(text: str, env: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda m: env.get(m[1] or m[3]) or m[2] or "", text)


def _dotenv(folder: Path) -> dict[str, str]:
    """Plain `NAME=value` lines of `.env`: enough for numbers and paths."""
    try:
        lines = (folder / ".env").read_text("utf-8", "replace")[:MAX_BYTES].splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _volumes(service: Mapping[str, Any]) -> Iterator[str]:
    """Sources of a service's mounts, as written."""
    for volume in service.get("volumes") or ():
        if isinstance(volume, str):
            yield volume.partition(":")[0] if ":" in volume and not volume.startswith("${") else _of_variable(volume)
        elif isinstance(volume, dict) and volume.get("source"):
            yield str(volume["source"])


def _of_variable(volume: str) -> str:
    """`${DATA:-./data}:/srv` → `${DATA:-./data}`; a volume without a source is nobody else's."""
    end = volume.find("}")
    return volume[: end + 1] if end > 0 and volume[end + 1 : end + 2] == ":" else ""


def _mounts(service: Mapping[str, Any], folder: Path, database: Path, env: Mapping[str, str]) -> bool:
    for source in _volumes(service):
        text = _expanded(source, env)
        if text.startswith(("/", ".", "~")):
            place = (folder / Path(text).expanduser()).resolve()
            if database.is_relative_to(place):
                return True
        elif text and re.match(rf"/var/lib/docker/volumes/([^/]+_)?{re.escape(text)}/", str(database)):
            return True
    return False
