"""The parts of the config about a SQLite database that stays where it is: conversion, benchmark, monitoring, requirements."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from stepflow_tui.engine.model.config_application import Section
from stepflow_tui.engine.model.config_units import (
    ConfigPath,
    Duration,
    Number,
    Percent,
    Size,
    Whole,
    check_place,
    parse_size,
    problem,
)

_VERSION = re.compile(r"\d+(\.\d+){0,2}", re.ASCII)
PAGE_SIZES = tuple(2**n for n in range(9, 17))
MIB = 1 << 20


class AutoVacuum(StrEnum):
    """What SQLite does with pages that become free."""

    NONE = "none"
    FULL = "full"
    INCREMENTAL = "incremental"


class Wal(Section):
    """The conversion to WAL (sqlite-wal only).

    `max_wait` (seconds): how long the conversion looks for a moment in which nobody uses the file. `page_size` and
    `auto_vacuum` are changed before, None keeps what is there. `profile` and `pragmas` (which win) are what every connection
    of the application should set; `probe` is a command that prints what it has set, as JSON. `max_bytes` and `starvation`
    (seconds) are the limits of the alerts on `-wal`.
    """

    max_wait: Duration = Field(default=60.0, gt=0)
    page_size: Whole | None = None
    auto_vacuum: AutoVacuum | None = None
    profile: Literal["production"] = "production"
    pragmas: dict[str, str] = Field(default_factory=dict)
    probe: str | None = Field(default=None, repr=False)
    max_bytes: Size = Field(default=100 * MIB, gt=0)
    starvation: Duration = Field(default=60.0, gt=0)

    @field_validator("page_size")
    @classmethod
    def _power_of_two(cls, size: int | None) -> int | None:
        if size is not None and size not in PAGE_SIZES:
            raise problem("no page size of SQLite", "a power of two from 512 to 65536")
        return size


class BenchmarkLimits(Section):
    """What a benchmark is measured against. Durations in seconds; ratios: new side by old side."""

    operations_per_second: Number = Field(default=500.0, gt=0)
    clients: Whole = Field(default=20, ge=1, le=500)
    p95: Duration = Field(default=0.005, gt=0)
    errors: Percent = Field(default=0.01)
    concurrent_writes: Number = Field(default=3.0, gt=0)
    joins: Number = Field(default=2.0, gt=0)


class Benchmark(Section):
    """Benchmarks on scratch copies: clients, seconds of one measurement, and how often both sides take turns."""

    writers: Whole = Field(default=4, ge=1, le=64)
    readers: Whole = Field(default=4, ge=0, le=64)
    seconds: Duration = Field(default=2.0, gt=0)
    rounds: Whole = Field(default=5, ge=3, le=100)
    batch: Whole = Field(default=100, ge=2, le=100_000)
    max_bytes: Size = Field(default=4096 * MIB, gt=0)  # larger databases are not copied for it
    limits: BenchmarkLimits = BenchmarkLimits()


class LogFile(Section):
    """A log of the application, and what in it is worth an alert (regular expressions)."""

    file: ConfigPath
    patterns: tuple[str, ...] = ("ERROR", "CRITICAL", "database is locked")

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error:
                raise problem("no regular expression", "Python's re syntax") from None
        return patterns


class Limits(Section):
    """From where on `monitor` and `doctor` call something a problem."""

    latency: Duration = Field(default=0.05, gt=0)  # of a health check
    memory: Size = Field(default=500 * MIB, gt=0)  # of one process of the application
    wal: Size = Field(default=100 * MIB, gt=0)


class Monitor(Section):
    """`stepflow monitor`: how often it looks, the logs it reads, and its limits."""

    every: Duration = Field(default=30.0, gt=0)
    logs: tuple[LogFile, ...] = ()
    limits: Limits = Limits()


class Need(Section):
    """A size that must be there, and one that is better."""

    minimum: Size
    recommended: Size

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum > self.recommended:
            raise problem("minimum is larger than recommended", "minimum at most recommended")
        return self


class NeedVersion(Section):
    """A version that must be there, and one that is better."""

    minimum: str
    recommended: str

    @field_validator("minimum", "recommended")
    @classmethod
    def _version(cls, version: str) -> str:
        if not _VERSION.fullmatch(version):
            raise problem("not a version", 'numbers with dots, in quotation marks, such as "3.11" or "3.12.4"')
        return version

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if _parts(self.minimum) > _parts(self.recommended):
            raise problem("minimum is newer than recommended", "minimum at most recommended")
        return self


def _parts(version: str) -> tuple[int, ...]:
    """In an order: `3.9` comes before `3.13`, `3` is `3.0.0`."""
    found = [int(part) for part in version.split(".")]
    return (*found, *[0] * (3 - len(found)))


def _bytes(value: str) -> int:
    return int(parse_size(value))


def _filled(written: Any, default: Need | NeedVersion, order: Callable[[str], Any]) -> Any:
    """What is written, the missing one of `minimum` and `recommended` as it is by default, or the written one if that is beyond it."""
    if not isinstance(written, dict) or len(written.keys() & {"minimum", "recommended"}) != 1:
        return written
    [there] = written.keys() & {"minimum", "recommended"}
    missing = "recommended" if there == "minimum" else "minimum"
    value, usual = written[there], str(getattr(default, missing))
    try:
        beyond = order(value) > order(usual) if missing == "recommended" else order(value) < order(usual)
    except (ValueError, TypeError, AttributeError, PydanticCustomError):
        return written | {missing: usual}  # the key that is written has a problem of its own
    return written | {missing: value if beyond else usual}


class Requirements(Section):
    """What the application's machine and interpreter must have. `packages`: name and least version. `network`: host:port."""

    python: NeedVersion = NeedVersion(minimum="3.8", recommended="3.13")
    memory: Need = Need(minimum=512 * MIB, recommended=2048 * MIB)
    disk: Need = Need(minimum=1024 * MIB, recommended=10240 * MIB)
    packages: dict[str, str] = Field(default_factory=dict)
    network: tuple[str, ...] = ()

    @field_validator("python", "memory", "disk", mode="before")
    @classmethod
    def _fill(cls, written: Any, info: ValidationInfo) -> Any:
        assert info.field_name is not None
        default = cls.model_fields[info.field_name].default
        return _filled(written, default, _parts if info.field_name == "python" else _bytes)

    @field_validator("network")
    @classmethod
    def _places(cls, network: tuple[str, ...]) -> tuple[str, ...]:
        for address in network:
            check_place(address)
        return network
