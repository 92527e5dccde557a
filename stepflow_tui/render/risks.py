"""The risk register and the acceptance criteria as text and as JSON; the words come from the engine's texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.plan.risks import NOT_LISTED, Proof, Risk, acceptance, risks
from stepflow_tui.engine.texts.checklist import item_title
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.engine.texts.risks import ACCEPTANCE, MITIGATIONS, RISKS
from stepflow_tui.render import words
from stepflow_tui.render.width import cells, pad

Items = Sequence[Mapping[str, Any]]

NOT_IN_THIS_RUN = N_("not in this run's checklist")


def risks_json(items: Items, findings: Sequence[Finding]) -> dict[str, Any]:
    """`risks` and `acceptance`, always in English, as findings are."""
    return {
        "risks": [
            {
                "id": risk.id,
                "risk": RISKS[risk.id],
                "impact": risk.impact,
                "likelihood": risk.likelihood,
                "mitigation": MITIGATIONS[risk.id],
                "state": risk.state.value,
                "proofs": _proofs_json(risk),
                "findings": list(risk.against),
            }
            for risk in risks(items, findings)
        ],
        "acceptance": [
            {"id": c.id, "criterion": ACCEPTANCE[c.id], "state": c.state.value, "proofs": _proofs_json(c)}
            for c in acceptance(items)
        ],
    }


def _proofs_json(risk: Risk) -> list[dict[str, str]]:
    return [{"item": p.item, "state": p.state} for p in risk.proofs]


def risk_lines(items: Items, findings: Sequence[Finding]) -> Iterator[str]:
    """Both lists for people."""
    found, wanted = risks(items, findings), acceptance(items)
    width = max(cells(words.term(r.state.value)) for r in (*found, *wanted))
    yield _("Risks")
    for risk in found:
        yield f"  {pad(words.term(risk.state.value), width)}  {risk_title(risk)}"
        yield f"  {' ' * width}  " + _("against it: {measures}").format(measures=_(MITIGATIONS[risk.id]))
        yield from (f"  {' ' * width}  {line}" for line in proof_lines(risk))
    yield ""
    yield _("Accepted when")
    for criterion in wanted:
        yield f"  {pad(words.term(criterion.state.value), width)}  {_(ACCEPTANCE[criterion.id])}"
        yield from (f"  {' ' * width}  {line}" for line in proof_lines(criterion))


def risk_title(risk: Risk) -> str:
    """`Data is lost (impact high, likelihood low)`."""
    parts = []
    if risk.impact is not None:
        parts.append(_("impact {weight}").format(weight=words.term(risk.impact.value)))
    if risk.likelihood is not None:
        parts.append(_("likelihood {weight}").format(weight=words.term(risk.likelihood.value)))
    title = _(RISKS[risk.id])
    return f"{title} ({words.listed(parts)})" if parts else title


def proof_lines(risk: Risk) -> Iterator[str]:
    """What proves it, and what stands against it."""
    for proof in risk.proofs:
        yield _("proof: {proof}").format(proof=proof_text(proof))
    if risk.against:
        yield _("findings against it: {codes}").format(codes=", ".join(risk.against))


def proof_text(proof: Proof) -> str:
    """An item with its title and state."""
    state = _(NOT_IN_THIS_RUN) if proof.state == NOT_LISTED else words.term(proof.state)
    return words.about(f"{_(item_title(proof.item))} ({proof.item})", state)
