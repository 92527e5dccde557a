"""Gates: the questions that must be answered before a phase begins, and who may answer them how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.errors import NeedsConfirmation
from stepflow_tui.engine.journal.people import BY_YES
from stepflow_tui.engine.model.events import EventCode, Level
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.gate import Question, QuestionKind
from stepflow_tui.engine.model.state import Danger, ItemState, PhaseName
from stepflow_tui.engine.playbooks.spec import PhaseSpec, Playbook
from stepflow_tui.engine.steps.context import RunContext

_SETTLED = frozenset({ItemState.TICKED.value, ItemState.ACCEPTED.value})
_ORDER = {phase.value: n for n, phase in enumerate(PhaseName)}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What the journal knows when a gate is looked at: plain rows."""

    warnings: Sequence[dict[str, Any]]
    items: Sequence[dict[str, Any]]
    objects: Sequence[dict[str, Any]]
    plan_hash: str | None
    answered: frozenset[tuple[str, str]]


def open_questions(facts: GateFacts, phase: PhaseSpec, names: Sequence[str]) -> list[Question]:
    """The questions before `phase` that nobody has answered yet.

    Args:
        names: the playbook's phases in order: an item due before an earlier phase is still due.
    """
    due = set(names[: names.index(phase.name) + 1])
    asked = [
        *_warnings(facts.warnings),
        *_items(facts.items, due),
        *_objects(facts.objects),
        *_plan(facts.plan_hash),
        *_typed(phase),
    ]
    return [q for q in asked if (q.kind.value, q.id) not in facts.answered]


def _warnings(rows: Iterable[dict[str, Any]]) -> list[Question]:
    found = {}
    for r in rows:
        key = f"{r['code']}|{r['object'] or ''}"
        found[key] = Question(kind=QuestionKind.WARNING, id=key, params={"code": r["code"], "object": r["object"]})
    return list(found.values())


def _items(rows: Iterable[dict[str, Any]], due: set[str]) -> list[Question]:
    return [
        Question(kind=QuestionKind.ITEM, id=r["id"], params={"kind": r["kind"], "state": r["state"]})
        for r in rows
        if r["phase"] in due and r["state"] not in _SETTLED
    ]


def _objects(rows: Iterable[dict[str, Any]]) -> list[Question]:
    return [
        Question(
            kind=QuestionKind.OBJECT,
            id=f"{r['type']}|{r['name']}",
            params={"type": r["type"], "name": r["name"], "reason": r["reason"]},
        )
        for r in rows
        if not r["carried"]
    ]


def _plan(plan_hash: str | None) -> list[Question]:
    return [Question(kind=QuestionKind.PLAN, id=plan_hash, params={"hash": plan_hash})] if plan_hash else []


def _typed(phase: PhaseSpec) -> list[Question]:
    return [
        Question(kind=QuestionKind.TYPED, id=f"{phase.name}.{s.name}", params={"step": s.name, "loses": s.loses})
        for s in phase.steps
        if s.danger is Danger.TYPED
    ]


class Gate:
    """One playbook's gates over one journal."""

    def __init__(self, ctx: RunContext, playbook: Playbook) -> None:
        self._ctx = ctx
        self._playbook = playbook

    async def next_phase(self) -> PhaseSpec | None:
        """The first phase that is not done."""
        for phase in self._playbook.phases:
            row = await self._ctx.journal.phase_row(phase.name)
            if row["state"] != "done":
                return phase
        return None

    async def questions(self, phase: PhaseSpec) -> list[Question]:
        """What is open before a phase. The first phase has no gate: nothing is known yet."""
        if phase is self._playbook.phases[0] or await self._nothing_to_do():
            return []
        journal = self._ctx.journal
        run = await journal.run_row()
        assert run is not None
        facts = GateFacts(
            warnings=_json_free(await journal.findings(Severity.WARNING)),
            items=await journal.items(),
            objects=await journal.fetch("SELECT type,name,reason,carried FROM object ORDER BY ord"),
            plan_hash=run["plan_hash"],
            answered=frozenset(await journal.answered()),
        )
        return open_questions(facts, phase, self._playbook.names)

    async def _nothing_to_do(self) -> bool:
        """A plan without tables: there is nothing that anybody could approve."""
        plan = await self._ctx.journal.load_plan()
        return plan is not None and not plan.tables

    async def accept_by_yes(self, questions: Iterable[Question], *, typed: bool) -> None:
        """Answer what `--yes` may answer; it is recorded as accepted by --yes, never as done by a person."""
        allowed = [q for q in questions if typed or q.kind is not QuestionKind.TYPED]
        await self._accept(allowed, BY_YES)

    async def accept_by_person(self, questions: Sequence[Question], who: str, *, yes: bool, typed: bool) -> None:
        """Answer what a person's `continue` answers.

        Checklist items are not among it: they are ticked one by one, with a note; only `--yes` accepts them unticked.

        Raises:
            NeedsConfirmation: items are open, or the run's name was not typed.
        """
        items = [q for q in questions if q.kind is QuestionKind.ITEM]
        if items and not yes:
            raise NeedsConfirmation(
                "Checklist items are open.",
                detail=", ".join(q.id for q in items),
                hint=f"Tick each with `stepflow tick {self._ctx.run_id} ITEM --note …`, or accept them with --yes.",
                code="items_open",
            )
        if any(q.kind is QuestionKind.TYPED for q in questions) and not typed:
            raise NeedsConfirmation(
                "The next phase asks for the run's name.",
                hint=f"Pass --confirm {self._ctx.config.name}.",
                code="needs_typed_confirmation",
            )
        await self._accept(questions, BY_YES if yes else who)

    async def tell(self, phase: PhaseSpec, questions: Sequence[Question], state: str) -> None:
        """Journal what happens at the gate: open, passed, stopped."""
        data = {"phase": phase.name, "state": state, "questions": list(questions)}
        level = Level.WARNING if state == "open" else Level.INFO
        await self._ctx.journal.event(EventCode.GATE, data, level=level)

    def unanswered(self, phase: PhaseSpec, questions: Sequence[Question]) -> NeedsConfirmation:
        """Why the run ends at the gate: nobody is there to answer. Names the flag to pass."""
        name = self._ctx.config.name
        typed = self._ctx.config.production and any(q.kind is QuestionKind.TYPED for q in questions)
        flags = f"--yes --confirm {name}" if typed else "--yes"
        asked = "1 question" if len(questions) == 1 else f"{len(questions)} questions"
        return NeedsConfirmation(
            f"The gate before {phase.name} asks {asked}, and nobody can answer here.",
            detail=", ".join(q.id for q in questions[:20]) + (", …" if len(questions) > 20 else ""),
            hint=f"Pass {flags} to accept them, or answer with `stepflow continue {self._ctx.run_id}` on a terminal.",
        )

    def may_wait(self, phase: PhaseSpec) -> bool:
        """Whether the engine stays while the gate is open: somebody may answer, or changes are being captured already."""
        return self._ctx.answers.interactive or self.captures(phase)

    def captures(self, phase: PhaseSpec) -> bool:
        """Whether changes are being captured before this phase: the target is kept current while the gate is open."""
        if PhaseName.CAPTURE.value not in self._playbook.names:
            return False
        return _ORDER[phase.name] > _ORDER[PhaseName.CAPTURE.value]

    async def _accept(self, questions: Sequence[Question], by: str) -> None:
        if not questions:
            return
        journal = self._ctx.journal
        for question in questions:
            if question.kind is QuestionKind.ITEM:
                await journal.accept_item(question.id, by=by)
        await journal.answer([q for q in questions if q.kind is not QuestionKind.ITEM], by=by)
        act = "accepted by --yes" if by == BY_YES else "accepted"
        await journal.audit(by, act, {"questions": [f"{q.kind.value}:{q.id}" for q in questions]})


def _json_free(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"code": r["code"], "object": r["object"]} for r in rows]
