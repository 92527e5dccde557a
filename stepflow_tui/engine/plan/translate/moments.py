"""Dates and times. `now` is the statement's own time in UTC, as in SQLite."""

from __future__ import annotations

import re
from dataclasses import replace

from stepflow_tui.engine.model.types import DateForm
from stepflow_tui.engine.plan.quote import pg_literal
from stepflow_tui.engine.plan.translate.values import Sort, Untranslatable, Value, constant

_NOW = "(statement_timestamp() at time zone 'utc')"
_SHIFT = re.compile(r"([+-]?)(\d{1,9}) (day|hour|minute|second)s?", re.IGNORECASE)
_START = re.compile(r"start of (day|month|year)", re.IGNORECASE)
_DIGITS = {0: "second", 3: "milliseconds", 6: "microseconds"}
_WHOLE = {"%Y-%m-%d %H:%M:%S": DateForm.SPACE, "%Y-%m-%dT%H:%M:%S": DateForm.T, "%Y-%m-%d %H:%M:%f": DateForm.SPACE_MS,
          "%Y-%m-%dT%H:%M:%f": DateForm.T_MS, "%F %T": DateForm.SPACE, "%FT%T": DateForm.T}  # fmt: skip
_PARTS = {"Y": "YYYY", "m": "MM", "d": "DD", "H": "HH24", "M": "MI", "S": "SS", "j": "DDD"}


def current(word: str) -> Value:
    """CURRENT_TIMESTAMP, CURRENT_DATE, CURRENT_TIME."""
    name = {"CURRENT_TIMESTAMP": "datetime", "CURRENT_DATE": "date", "CURRENT_TIME": "time"}[word]
    return moment(name, [constant("now")])


def moment(name: str, arguments: list[Value]) -> Value:
    """date(), time(), datetime(), julianday(), unixepoch(), strftime().

    Raises:
        Untranslatable: a modifier, format or argument that PostgreSQL reads otherwise.
    """
    form: str | None = None
    if name == "strftime":
        if not arguments or not isinstance(arguments[0].constant, str):
            raise Untranslatable("strftime() with a format that isn't constant")
        form, arguments = arguments[0].constant, arguments[1:]
    base = _base(arguments[0] if arguments else constant("now"))
    for modifier in arguments[1:]:
        base = _modified(base, modifier)
    return _strftime(form, base) if form is not None else _FUNCTIONS[name](base)


def _base(value: Value) -> Value:
    if value.is_constant and isinstance(value.constant, str) and value.constant.lower() == "now":
        return Value(sql=_NOW, sort=Sort.TIMESTAMP, form=DateForm.SPACE_US, immutable=False)
    if value.sort is Sort.TIMESTAMP:
        return value.plain
    if value.sort is Sort.DATE:
        return Value(sql=f"{value.sql}::timestamp", sort=Sort.TIMESTAMP, form=DateForm.SPACE, immutable=value.immutable)
    raise Untranslatable(f"a date function on a {value.sort.value}, which need not be a date")


def _modified(base: Value, modifier: Value) -> Value:
    written = str(modifier.constant) if modifier.is_constant else ""
    shift = _SHIFT.fullmatch(written)
    if shift:
        sign, amount, unit = shift.groups()
        interval = pg_literal(f"{sign}{int(amount)} {unit.lower()}").strip()
        return replace(base, sql=f"({base.sql} + interval {interval})")
    start = _START.fullmatch(written)
    if start:
        return replace(base, sql=f"date_trunc('{start.group(1).lower()}', {base.sql})")
    raise Untranslatable(f"the date modifier {written!r}")


def _whole(base: Value, form: DateForm) -> Value:
    """The moment cut to a form's precision."""
    if base.form is not None and base.form.digits > form.digits and base.immutable and form.digits:
        raise Untranslatable("fractions of seconds, which the two databases round differently")
    cut = base.sql
    if base.form is None or base.form.digits > form.digits:
        cut = f"date_trunc('{_DIGITS[form.digits]}', {base.sql})"
    return Value(sql=cut, sort=Sort.TIMESTAMP, form=form, immutable=base.immutable)


def _datetime(base: Value) -> Value:
    return _whole(base, DateForm.SPACE)


def _date(base: Value) -> Value:
    return Value(sql=f"({base.sql})::date", sort=Sort.DATE, immutable=base.immutable)


def _time(base: Value) -> Value:
    return Value(sql=f"to_char({base.sql}, 'HH24:MI:SS')", sort=Sort.TEXT, immutable=False)


def _julian(base: Value) -> Value:
    if base.form is not None and base.form.digits > 3 and base.immutable:
        raise Untranslatable("fractions of seconds, which the two databases round differently")
    # SQLite counts milliseconds since noon of day 0 and divides once
    sql = f"(((extract(epoch from {base.sql}) * 1000)::bigint + 210866760000000)::float8 / 86400000)"
    return Value(sql=sql, sort=Sort.REAL, immutable=base.immutable, finite=True)


def _epoch(base: Value) -> Value:
    sql = f"floor(extract(epoch from {base.sql}))::bigint"
    return Value(sql=sql, sort=Sort.INT, immutable=base.immutable)


_FUNCTIONS = {"datetime": _datetime, "date": _date, "time": _time, "julianday": _julian, "unixepoch": _epoch}


def _strftime(form: str, base: Value) -> Value:
    if form in _WHOLE:
        return _whole(base, _WHOLE[form])
    if form in ("%Y-%m-%d", "%F"):
        return _date(base)
    if form == "%s":
        seconds = _epoch(base).sql
        return Value(sql=f"{seconds}::text", sort=Sort.TEXT, integer_sql=seconds, immutable=base.immutable)
    made = []
    for literal, code in re.findall(r"([^%]+)|%(.)", form):
        if literal:
            made.append('"' + literal.replace("\\", "\\\\").replace('"', '\\"') + '"')
        elif code in _PARTS:
            made.append(_PARTS[code])
        else:
            raise Untranslatable(f"strftime() with %{code}")
    sql = f"to_char({base.sql}, {pg_literal(''.join(made)).strip()})"
    integer = f"({sql})::bigint" if re.fullmatch(r"(%[YmdHMSj])+", form) else None
    return Value(sql=sql, sort=Sort.TEXT, integer_sql=integer, immutable=False)
