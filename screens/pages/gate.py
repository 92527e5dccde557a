"""What an open gate asks, as lines: what a person has to tick first, then warnings with their words, then the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from screens.glyphs import Glyphs
from screens.pages.checklist import owner_of, title_of
from screens.pages.lines import BAD, CARE, DIM, blank, heading, item_state, line, marked
from screens.widgets.document import Line
from stepflow_tui.engine.model.checklist import ItemKind
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.texts import shown
from stepflow_tui.engine.texts.language import _, known, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.events import question_text

Gate = Mapping[str, Any]
Row = Mapping[str, Any]
SHOWN = 5
"""Findings of one code that are told one by one."""
_SETTLED = (ItemState.TICKED.value, ItemState.ACCEPTED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What the journal knows about what is asked; empty until it was read."""

    items: Sequence[Row] = ()
    findings: Sequence[Finding] = ()


def asked(gate: Gate, kind: str) -> list[Row]:
    """The questions of one kind."""
    return [q for q in gate.get("questions") or () if q["kind"] == kind]


def open_items(gate: Gate, facts: GateFacts) -> list[Row]:
    """Questions about items that nobody has settled since they were asked."""
    settled = {i["id"] for i in facts.items if i["state"] in _SETTLED}
    return [q for q in asked(gate, "item") if q["id"] not in settled and not q.get("settled")]


def item_name(question: Row) -> str:
    """The item a question is about, in words."""
    return clean_line(title_of({"id": question["id"], **(question.get("params") or {})}))


def with_settled(gate: Gate, before: Gate) -> Gate:
    """The gate as it is now, and the items asked about before: one that was ticked stays in sight, as ticked."""
    now = {q["id"]: q for q in asked(gate, "item")}
    items = {q["id"]: now.get(q["id"]) or {**q, "settled": True} for q in asked(before, "item")} | now
    return {**gate, "questions": [*items.values(), *(q for q in gate.get("questions") or () if q["kind"] != "item")]}


def typed_questions(gate: Gate) -> list[Row]:
    """Questions that only the run's name answers."""
    return asked(gate, "typed")


def gate_title(gate: Gate, phase: str) -> str:
    """`Before backfill: 14 checklist items, 60 warnings, 2 objects`: what there is below, before anybody scrolls."""
    items, warned, lost = (len(asked(gate, kind)) for kind in ("item", "warning", "object"))
    parts = []
    if items:
        parts.append(ngettext("{count} checklist item", "{count} checklist items", items).format(count=items))
    if warned:
        parts.append(ngettext("{count} warning", "{count} warnings", warned).format(count=warned))
    if lost:
        parts.append(ngettext("{count} object not carried", "{count} objects not carried", lost).format(count=lost))
    before = _("Before {phase}").format(phase=phase)
    return words.about(before, words.listed(parts)) if parts else before


def gate_lines(gate: Gate, facts: GateFacts, glyphs: Glyphs) -> Iterator[Line]:
    """Everything the gate asks."""
    if not gate.get("questions"):
        yield line(_("There is nothing to answer: the run was told to stop here."))
    yield from _items(asked(gate, "item"), facts, glyphs)
    yield from _warnings(asked(gate, "warning"), facts, glyphs)
    yield from _objects(asked(gate, "object"), glyphs)
    if asked(gate, "plan"):
        yield line(f"{glyphs.confirm} {_('Accepting goes on with this plan. To read it first: Esc, then F2.')}")
    for question in typed_questions(gate):
        yield line(f"{glyphs.confirm} {question_text(question)}", CARE)


def _items(questions: Sequence[Row], facts: GateFacts, glyphs: Glyphs) -> Iterator[Line]:
    if not questions:
        return
    rows = {i["id"]: i for i in facts.items}
    yield heading(_("Checklist"))
    for question in questions:
        row = rows.get(question["id"]) or {
            "id": question["id"],
            "state": ItemState.OPEN.value,
            **(question.get("params") or {}),
            **({"state": ItemState.TICKED.value} if question.get("settled") else {}),
        }
        sign, word, style = item_state(str(row["state"]), glyphs)
        yield marked(sign, word, f"{title_of(row)} ({row['id']})", style, key=str(row["id"]))
        if row.get("kind") == ItemKind.AUTO:
            yield line(_("a check decides it"), DIM, indent=6)
        elif owner_of(row):
            yield line(_("owner: {who}").format(who=owner_of(row)), DIM, indent=6)
        if row.get("note"):
            yield line(_("note: {text}").format(text=known(str(row["note"]))), DIM, indent=6)
    yield blank()


def _warnings(questions: Sequence[Row], facts: GateFacts, glyphs: Glyphs) -> Iterator[Line]:
    if not questions:
        return
    by_code: dict[str, list[str]] = {}
    for question in questions:
        params = question.get("params") or {}
        by_code.setdefault(str(params.get("code", question["id"])), []).append(str(params.get("object") or ""))
    yield heading(f"{_('Warnings to accept')} ({len(questions)})")
    for code, objects in by_code.items():
        yield from _group(code, objects, facts, glyphs)
    yield blank()


def _group(code: str, objects: Sequence[str], facts: GateFacts, glyphs: Glyphs) -> Iterator[Line]:
    """Fifty warnings of one code are one thing to think about: why and fix once, what was found for the first few."""
    times = f"{len(objects)} × " if len(objects) > 1 else ""
    yield marked(glyphs.confirm, f"{times}{code}", "", CARE)
    said = [shown(f) for f in facts.findings if f.code == code and (f.object or "") in objects]
    for found in said[:SHOWN]:
        yield line(found.what, indent=2, hang=2)
    rest = objects[SHOWN:]
    if rest:
        text = ngettext("and {count} more: {names}", "and {count} more: {names}", len(rest))
        yield line(text.format(count=len(rest), names=", ".join(rest)), indent=2, hang=2)
    if said:
        yield line(_("why: {text}").format(text=said[0].why), DIM, indent=2, hang=4)
        yield line(_("fix: {text}").format(text=" ".join(said[0].fix.split())), DIM, indent=2, hang=4)


def _objects(questions: Sequence[Row], glyphs: Glyphs) -> Iterator[Line]:
    if not questions:
        return
    yield heading(f"{_('Will NOT be carried')} ({len(questions)})")
    yield from (line(f"{glyphs.failed} {question_text(q)}", BAD, hang=4) for q in questions)
    yield blank()
