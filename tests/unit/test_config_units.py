"""Durations, sizes, percentages, numbers and addresses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from stepflow_tui.engine.model import config_units as units
from stepflow_tui.engine.model.config_dsn import dsn_identity, dsn_options


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_duration, "30s", 30.0),
        (units.parse_duration, "500ms", 0.5),
        (units.parse_duration, "1h30m", 5400.0),
        (units.parse_duration, "7d", 604_800.0),
        (units.parse_duration, "0", 0.0),
        (units.parse_size, "1GiB", 1 << 30),
        (units.parse_size, "10MB", 10_000_000),
        (units.parse_size, "4096", 4096),
        (units.parse_size, "1.5KiB", 1536),
        (units.parse_percent, "5%", 0.05),
        (units.parse_percent, "100 %", 1.0),
        (units.parse_whole, "0", 0),
        (units.parse_whole, "-12", -12),
        (units.parse_bool, "true", True),
        (units.parse_bool, "false", False),
        (units.parse_moment, "02:30", "02:30"),
        (units.parse_moment, "2026-05-01T02:30", "2026-05-01T02:30"),
    ],
)
def test_what_is_understood(parse: Any, text: str, value: object) -> None:
    assert parse(text) == pytest.approx(value) if isinstance(value, float) else parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (units.parse_duration, "30"),
        (units.parse_duration, "1:30"),
        (units.parse_duration, "5 weeks"),
        (units.parse_duration, "-5s"),
        (units.parse_duration, ""),
        (units.parse_size, "1 gig"),
        (units.parse_size, "-1"),
        (units.parse_percent, "0.05"),
        (units.parse_percent, "101%"),
        (units.parse_whole, "012"),
        (units.parse_whole, "1_000"),
        (units.parse_whole, "1e3"),
        (units.parse_whole, "٣"),
        (units.parse_whole, "9" * 5000),
        (units.parse_bool, "NO"),
        (units.parse_bool, "True"),
        (units.parse_moment, "1:30"),
        (units.parse_moment, "25:00"),
    ],
)
def test_what_is_refused_with_a_hint(parse: Any, text: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse(text)
    assert caught.value.context is not None
    assert caught.value.context["hint"]


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_scale_with_their_unit(number: int, unit: str) -> None:
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert units.parse_duration(f"{number}{unit}") == pytest.approx(number * seconds)


@pytest.mark.parametrize(
    ("dsn", "identity"),
    [
        ("postgresql://u:p%40ss@h:5433/d%20b?sslmode=require", "h:5433/d b"),
        ("postgres://h/d", "h:/d"),
        ("postgresql:///d?host=/run/pg", "/run/pg:/d"),
        ("postgresql://a:1,b:2/d", "a,b:1,2/d"),
        ("postgresql://u@[::1]:5432/d", "::1:5432/d"),
        ("host=h dbname='my db' password='a\\'b'", "h:/my db"),
    ],
)
def test_addresses_name_a_database(dsn: str, identity: str) -> None:
    assert dsn_identity(dsn) == identity


def test_passwords_are_decoded() -> None:
    assert dsn_options("postgresql://u:p%40ss@h/d")["password"] == "p@ss"
    assert dsn_options("host=h password='a\\'b'")["password"] == "a'b"
