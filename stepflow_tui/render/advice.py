"""Which migration fits, and what a source and a target are, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.texts.advice import ALSO, BUILT, KINDS, NOT_FOR, REASONS, STAY
from stepflow_tui.engine.texts.language import _, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

if TYPE_CHECKING:
    from stepflow_tui.engine.model.advice import Advice, Reason


def reason_text(reason: Reason) -> str:
    """One sentence in the language in use."""
    template = REASONS.get(reason.code) or ALSO.get(reason.code) or reason.code
    shown = {name: _shown(name, value) for name, value in reason.params.items()}
    return clean_line(_(template).format_map(shown))


def _shown(name: str, value: Any) -> str:
    if name == "size":
        return words.size(value)
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.1f}"
    return words.count(value) if isinstance(value, int | float) else _or_unknown(value)


def advice_json(advice: Advice, facts: Mapping[str, Any]) -> dict[str, Any]:
    """kind available reasons[{code params text}] also[…] facts kinds[{kind for available}]."""
    return {
        "kind": advice.kind,
        "available": advice.built,
        "reasons": [_reason_json(r) for r in advice.reasons],
        "also": [_reason_json(r) for r in advice.also],
        "facts": dict(facts),
        "kinds": kinds_json(),
    }


def _reason_json(reason: Reason) -> dict[str, Any]:
    return {"code": reason.code, "params": reason.params, "text": reason_text(reason)}


def kinds_json() -> list[dict[str, Any]]:
    """All kinds: kind for not_for available."""
    return [{"kind": k, "for": _(KINDS[k]), "not_for": _(NOT_FOR[k]), "available": k in BUILT} for k in KINDS]


def verdict(advice: Advice) -> str:
    """The recommendation in one line."""
    if advice.kind is None:
        return _(STAY)
    if advice.built:
        return _("Recommended: {kind}.").format(kind=advice.kind)
    return _("Recommended: {kind}, which comes with a later version.").format(kind=advice.kind)


def advice_lines(advice: Advice) -> Iterator[str]:
    """The recommendation, what it is for and not for, why, and what else to know."""
    yield verdict(advice)
    if advice.kind is not None:
        yield f"  {_(KINDS[advice.kind])}"
        yield f"  {_(NOT_FOR[advice.kind])}"
    yield _("Why:")
    for reason in advice.reasons:
        yield f"  - {reason_text(reason)}"
    if advice.also:
        yield _("Also:")
        for reason in advice.also:
            yield f"  - {reason_text(reason)}"


def kind_lines() -> Iterator[str]:
    """The table of kinds."""
    for kind, use in KINDS.items():
        later = "" if kind in BUILT else " " + _("(comes later)")
        yield f"{kind:20} {_(use)}{later}"


def source_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What was found about a source, as names and values."""
    if facts.get("source") == "postgres":
        yield _("Source"), _("a PostgreSQL database")
        return
    if facts.get("source") == "files":
        yield _("Source"), _("exported files ({format})").format(format=facts["format"])
        yield _("Size"), words.size(facts["size"])
        return
    wal = _(" and {size} in -wal").format(size=words.size(facts["wal_bytes"])) if facts["wal_bytes"] else ""
    yield _("Size"), words.size(facts["size"]) + wal
    yield _("Tables"), _tables(facts)
    yield _("Rows"), rows_text(facts)
    yield (
        _("Journal mode"),
        _("{mode}, pages of {bytes}, {encoding}").format(
            mode=facts["journal_mode"] or "?", bytes=words.size(facts["page_size"]), encoding=facts["encoding"] or "?"
        ),
    )
    yield (
        _("Versions"),
        _("written by SQLite {file}, read by {here}, user_version {user}").format(
            file=facts["written_by"] or "?", here=facts["sqlite"], user=_or_unknown(facts["user_version"])
        ),
    )
    yield _("Open in"), _holders(facts)
    yield _("Free disk"), words.size(facts["free_bytes"])


def source_note(facts: Mapping[str, Any], kind: str) -> str:
    """What was found means for a kind of migration, in a sentence; "" where there is nothing to say."""
    if kind not in IN_PLACE or facts.get("source") != "sqlite":
        return ""
    if facts.get("network"):
        return _("On a network file system ({filesystem}) WAL can't work: the run refuses it.").format(
            filesystem=facts.get("filesystem") or "?"
        )
    if facts.get("journal_mode") == "wal":
        return _("In WAL mode already: nothing is converted. A run tunes what stays in the file, and watches.")
    return _("Its journal mode becomes wal; tables and rows stay as they are.")


def _or_unknown(value: Any) -> str:
    return "?" if value is None else str(value)


def _tables(facts: Mapping[str, Any]) -> str:
    if facts["tables"] is None:
        return _("not known: a crash left a journal behind; a copy will be recovered")
    parts = [words.count(facts["tables"])]
    if facts["views"]:
        parts.append(ngettext("{n} view", "{n} views", facts["views"]).format(n=facts["views"]))
    if facts["triggers"]:
        parts.append(ngettext("{n} trigger", "{n} triggers", facts["triggers"]).format(n=facts["triggers"]))
    return words.listed(parts)


def rows_text(facts: Mapping[str, Any]) -> str:
    """`74,568`, or `about 1,000,000 (estimated)`."""
    if facts["rows"] is None:
        return "?"
    if facts["rows_exact"]:
        return words.count(facts["rows"])
    text = _("about {rows} (estimated; the run counts them)").format(rows=words.count(facts["rows"]))
    unknown = facts["rows_unknown"]
    if unknown:
        text += "; " + ngettext("{n} table not counted", "{n} tables not counted", unknown).format(n=unknown)
    return text


def _holders(facts: Mapping[str, Any]) -> str:
    found = ", ".join(f"{h['pid']} {h['command']}" for h in facts["holders"][:3])
    more = len(facts["holders"]) - 3
    if more > 0:
        found += ngettext(" and {n} more", " and {n} more", more).format(n=more)
    if not facts["holders_known"]:
        return (found + "; " if found else "") + _("other users' processes can't be seen")
    return clean_line(found) or _("no process")


def target_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the connection test said, as names and values."""
    if result["kind"] == "embedded":
        yield _("Server"), _("PostgreSQL {version}, StepFlow's own").format(version=result["version"] or "?")
        yield (
            _("State"),
            _("running") if result["running"] else _("not running; it is started when the run starts"),
        )
        return
    yield (
        _("Server"),
        _("PostgreSQL {version}, answers in {ms} ms").format(
            version=result["version"], ms=f"{result['latency_ms']:.1f}"
        ),
    )
    yield _("Login"), clean_line(str(result["address"]))
    yield (
        _("Connection"),
        _("encrypted") if result["encrypted"] else _("not encrypted"),
    )
    yield _("Schema"), _schema(result)


def _schema(result: Mapping[str, Any]) -> str:
    name = clean_line(str(result["schema"]))
    if not result["schema_exists"]:
        return _("{name}, will be made").format(name=name)
    tables = result["tables"]
    if not tables:
        return _("{name}, empty").format(name=name)
    return ngettext("{name}, holds {n} table", "{name}, holds {n} tables", tables).format(name=name, n=tables)
