"""Units of the config file: durations, sizes, percentages and plain numbers, each read from the text that was written.

Every scalar reaches the schema as text, so `NO`, `012` and `1:30` mean what the schema says and nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[KMGT]i?B)?")
_SIZE_BYTES = {
    unit: base**power
    for base, suffix in ((1000, "B"), (1024, "iB"))
    for power, unit in ((i, f"{letter}{suffix}") for i, letter in enumerate("KMGT", start=1))
} | {"B": 1}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_WHOLE = re.compile(r"-?(0|[1-9]\d*)")
_TIME_OF_DAY = re.compile(
    r"([01]\d|2[0-3]):[0-5]\d|\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?(Z|[+-]\d\d:\d\d)?"
)


def problem(text: str, hint: str) -> PydanticCustomError:
    """A problem with its hint, as the config reader shows it. Neither may contain the value."""
    return PydanticCustomError("config", "{text}", {"text": text, "hint": hint})


def parse_duration(value: Any) -> Any:
    """`30s`, `10m`, `24h`, `7d`, `500ms`, `1h30m` → seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise problem("not a duration", "a number with ms, s, m, h or d, such as 30s, 10m or 1h30m")
    return sum(float(number) * _DURATION_SECONDS[unit] for number, unit in parts)


def parse_size(value: Any) -> Any:
    """`1GiB`, `64MiB`, `10MB`, `4096` → bytes."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if not match:
        raise problem("not a size", "a number with KiB, MiB, GiB or TiB, such as 64MiB")
    return int(float(match[1]) * _SIZE_BYTES[match[2] or "B"])


def parse_percent(value: Any) -> Any:
    """`5%` → 0.05."""
    if not isinstance(value, str):
        return value
    match = _PERCENT.fullmatch(value.strip())
    if not match or float(match[1]) > 100:
        raise problem("not a percentage", "a number from 0 to 100 with a percent sign, such as 5%")
    return float(match[1]) / 100


def parse_whole(value: Any) -> Any:
    """Decimal digits → int; no octal, no underscores, no exponent."""
    if not isinstance(value, str):
        return value
    if not _WHOLE.fullmatch(value) or len(value) > 18:
        raise problem("not a whole number", "decimal digits only, no leading zero")
    return int(value)


def parse_number(value: Any) -> Any:
    """`500`, `2.5` → a number."""
    if not isinstance(value, str):
        return value
    if not _NUMBER.fullmatch(value.strip()):
        raise problem("not a number", "such as 500 or 2.5")
    return float(value)


def parse_bool(value: Any) -> Any:
    """Only `true` and `false`; YAML 1.1's yes, no, on and off are refused."""
    if not isinstance(value, str):
        return value
    if value not in ("true", "false"):
        raise problem("not true or false", "write true or false")
    return value == "true"


def parse_path(value: Any, info: ValidationInfo) -> Any:
    """A path, relative to the config file's folder (the validation context's `base`)."""
    if not isinstance(value, str):
        return value
    if not value or "\x00" in value:
        raise problem("not a path", "the path of a file, relative to this config file")
    base = (info.context or {}).get("base", Path())
    return Path(base, Path(value).expanduser())


def parse_margin(value: Any) -> Any:
    """`0.01` (absolute), `0.1%` (relative) or `500ms` (times); kept as text."""
    if isinstance(value, str) and not any(form.fullmatch(value) for form in (_NUMBER, _PERCENT, _DURATION)):
        raise problem("not a tolerance", "0.01 for numbers, 0.1% for a share of them, 500ms for times")
    return value


def parse_moment(value: Any) -> Any:
    """`02:30` (the next time it is that late) or `2026-05-01T02:30`; kept as text."""
    if isinstance(value, str) and not _TIME_OF_DAY.fullmatch(value):
        raise problem("not a time", "HH:MM, or a date and time such as 2026-05-01T02:30")
    return value


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds."""
Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes."""
Percent = Annotated[float, BeforeValidator(parse_percent)]
"""A share between 0 and 1."""
Number = Annotated[float, BeforeValidator(parse_number)]
"""A number, with decimals or without."""
Whole = Annotated[int, BeforeValidator(parse_whole)]
"""A whole number."""
Bool = Annotated[bool, BeforeValidator(parse_bool)]
"""`true` or `false`."""
ConfigPath = Annotated[Path, BeforeValidator(parse_path)]
"""An absolute path."""
Margin = Annotated[str, BeforeValidator(parse_margin)]
"""How far two values may lie apart: a number, a percentage or a duration."""
Moment = Annotated[str, BeforeValidator(parse_moment)]
"""A time of day, or a date and time."""


def check_web(address: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """An address of a web service as it is; a problem if it isn't one."""
    scheme, _, rest = address.partition("://")
    if scheme.lower() not in schemes or not re.match(r"[^/?#\s]", rest):
        raise problem("not an address of this kind", f"{schemes[0]}://HOST:PORT/PATH, or {schemes[1]}://…")
    return address


def check_place(address: str) -> str:
    """`host:port` as it is; a problem if it isn't one."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise problem("not host:port", "such as db.example:5432, or [::1]:5432")
    return address
