"""What is known about the values of one column: exact from the census, or of a sample. Pure counting, no decisions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from stepflow_tui.engine.model.types import DateForm, EpochUnit

Value = int | float | str | bytes | None
"""A SQLite value: `str` is TEXT (undecodable bytes as surrogate escapes), `bytes` a BLOB."""

SCALES = range(13)
"""Decimal scales that are tried. Floating-point noise needs 16 or 17 digits, so 15 digits in all never take it in."""

DIGITS_LIMIT = 999_999_999_999_999


class Shape(StrEnum):
    """What all the texts of a sample look like, for proposals."""

    NONE = ""
    UUID = "uuid"
    JSON = "json"
    OFFSET = "timestamp with offset"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Counts over the values of a column.

    `scale`: the smallest decimal scale that renders every number exactly, None if none does or nobody looked;
    `declared_scale_fits`: whether the declared scale does; `low`, `high`: bounds of the numbers; `distinct`: whether the
    rendering as text keeps different values different (None: not looked at); `exact`: all rows were counted, no sample.
    """

    rows: int
    nulls: int = 0
    integers: int = 0
    reals: int = 0
    texts: int = 0
    blobs: int = 0
    booleans: int = 0
    scale: int | None = None
    declared_scale_fits: bool = False
    forms: dict[DateForm, int] = field(default_factory=dict)
    dates: int = 0
    nul_values: int = 0
    invalid: int = 0
    low: int | float | None = None
    high: int | float | None = None
    minimum: str | None = None
    maximum: str | None = None
    mean_bytes: float = 0.0
    max_bytes: int = 0
    distinct: bool | None = None
    shape: Shape = Shape.NONE
    exact: bool = False

    @property
    def values(self) -> int:
        """Rows that aren't NULL."""
        return self.rows - self.nulls

    @property
    def classes(self) -> int:
        """How many storage classes occur."""
        return sum(1 for n in (self.integers, self.reals, self.texts, self.blobs) if n)

    @property
    def mixed(self) -> bool:
        """More than one storage class."""
        return self.classes > 1

    @property
    def form(self) -> DateForm | None:
        """The most frequent timestamp form."""
        used = [f for f in DateForm if self.forms.get(f)]
        return max(used, key=lambda f: self.forms[f]) if used else None


def profile_sample(values: Sequence[Value], declared_scale: int | None = None) -> Profile:
    """The profile of sampled values, worked out in Python.

    Args:
        values: sampled values of one column, NULLs included.
        declared_scale: scale of a declared DECIMAL(p,s).
    """
    numbers = [v for v in values if isinstance(v, (int, float))]
    texts = [v for v in values if isinstance(v, str)]
    scales = [decimal_scale(v) for v in numbers]
    sizes = [_size(v) for v in values]
    known = [s for s in scales if s is not None]
    return Profile(
        rows=len(values),
        nulls=sum(v is None for v in values),
        integers=sum(isinstance(v, int) for v in numbers),
        reals=sum(isinstance(v, float) for v in numbers),
        texts=len(texts),
        blobs=sum(isinstance(v, bytes) for v in values),
        booleans=sum(isinstance(v, int) and v in (0, 1) for v in numbers),
        scale=max(known) if known and len(known) == len(scales) else None,
        declared_scale_fits=declared_scale is not None and all(_fits(v, s, declared_scale) for v, s in zip(numbers, scales, strict=True)),
        forms=dict(Counter(f for f in map(date_form, texts) if f)),
        dates=sum(is_date(t) for t in texts),
        nul_values=sum("\x00" in t for t in texts),
        low=min(numbers, default=None),
        high=max(numbers, default=None),
        mean_bytes=sum(sizes) / len(sizes) if sizes else 0.0,
        max_bytes=max((s for s, v in zip(sizes, values, strict=True) if isinstance(v, (str, bytes))), default=0),
        shape=_shape(texts),
    )  # fmt: skip


def decimal_scale(value: int | float) -> int | None:
    """The smallest of `SCALES` at which a number is exact within 15 digits, None if there is none."""
    digits = Decimal(value) if isinstance(value, int) else Decimal(repr(value))
    if not digits.is_finite():
        return None
    scale = max(0, -int(digits.normalize().as_tuple().exponent))
    return scale if scale in SCALES and abs(digits.scaleb(scale)) <= DIGITS_LIMIT else None


def _fits(value: int | float, scale: int | None, wanted: int) -> bool:
    return scale is not None and scale <= wanted and abs(value) * 10**wanted <= DIGITS_LIMIT


def _size(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    return len(value) if isinstance(value, bytes) else 0 if value is None else 8


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d(?:\.(\d{3}|\d{6}))?", re.ASCII)
_FORMS = {(f.with_t, f.digits): f for f in DateForm}


def date_form(text: str) -> DateForm | None:
    """The uniform form a text has, if it is a moment that exists (24:00:00 and 30 February don't)."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return None
    return _FORMS[match[1] == "T", len(match[2] or "")]


def is_date(text: str) -> bool:
    """Whether a text is a day that exists, as YYYY-MM-DD."""
    if len(text) != 10 or not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


_SHAPES = (
    (Shape.UUID, re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")),
    (Shape.OFFSET, re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)", re.ASCII)),
    (Shape.TIME, re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?", re.ASCII)),
)


def _shape(texts: Sequence[str]) -> Shape:
    if not texts:
        return Shape.NONE
    for shape, pattern in _SHAPES:
        if all(pattern.fullmatch(t) for t in texts):
            return shape
    return Shape.JSON if all(_is_json(t) for t in texts) else Shape.NONE


def _is_json(text: str) -> bool:
    if text[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def epoch_unit(low: int | float | None, high: int | float | None) -> EpochUnit | None:
    """The unit in which all integers between `low` and `high` are moments of 1979 to 2096, None if there is none."""
    if low is None or high is None:
        return None
    for unit, start, end in _RANGES:
        if start <= low and high <= end:
            return unit
    return None


_RANGES = (
    (EpochUnit.SECONDS, 300_000_000, 4_000_000_000),
    (EpochUnit.MILLIS, 300_000_000_000, 4_000_000_000_000),
    (EpochUnit.MICROS, 300_000_000_000_000, 4_000_000_000_000_000),
)
