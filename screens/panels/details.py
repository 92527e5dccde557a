"""The details of a step, a phase or a checklist item, as lines for a dialog."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from screens.run_words import Status, item_words, phase_title, title_of
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.texts.language import _
from stepflow_tui.facade import Facade
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.events import lost

LONGEST = 400


def step_row(api: Facade, run: Path, name: str) -> Mapping[str, Any]:
    """A step's row in the journal; empty where there is none. Blocks: call it in a thread."""
    try:
        with api.RunReader(run) as reader:
            return next((s for s in reader.steps() if s["name"] == name), {})
    except StepFlowError:  # what the status says is shown all the same
        return {}


def heading_of(sort: str, about: Mapping[str, Any], status: Status) -> str:
    """What the details are about."""
    if sort == "item":
        return item_words(about)
    return title_of(about) if sort == "step" else phase_title(str(about["name"]), status)


def details(sort: str, about: Mapping[str, Any], row: Mapping[str, Any], status: Status) -> Iterator[str]:
    """What is known. `row` is the step's row in the journal, empty where it can't be read."""
    if sort == "item":
        yield from _item(about, status)
    elif sort == "step":
        yield from _step(about, row)
    else:
        yield from _phase(about)


def _phase(phase: Mapping[str, Any]) -> Iterator[str]:
    yield _("State: {state}").format(state=words.term(phase["state"]))
    for step in phase.get("steps") or ():
        took = f" ({words.seconds(step['seconds'])})" if step.get("seconds") is not None else ""
        yield f"  {words.about(title_of(step), words.term(step['state']))}{took}"


def _step(step: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    yield _("Name: {name}").format(name=clean_line(f"{step['phase']}.{step['name']}"))
    yield _("State: {state}").format(state=words.term(step["state"]))
    if row.get("started_ms") is not None:
        yield _("Started: {time}").format(time=iso_utc(row["started_ms"]))
    if step.get("seconds") is not None:
        yield _("Took: {time}").format(time=words.seconds(step["seconds"]))
    if step.get("progress"):
        yield _("Progress: {text}").format(text=clean_line(words.progress(step["progress"])))
    if step.get("danger") == "typed":
        yield _("Before it runs it asks for the run's name.")
    if row:
        yield _("Undoing it would lose: {losses}").format(losses=clean_line(lost(row.get("loses"))))
    evidence = row.get("evidence") or {}
    if evidence:
        yield ""
        yield _("Evidence:")
        yield from (f"  {words.about(words.spaced(str(name)), _value(value))}" for name, value in evidence.items())


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return clean_line(text)[:LONGEST]


def _item(item: Mapping[str, Any], status: Status) -> Iterator[str]:
    yield _("Name: {name}").format(name=clean_line(str(item["id"])))
    yield _("State: {state}").format(state=words.term(item["state"]))
    manual = item.get("kind") == "manual"
    yield _("A person ticks it and says why.") if manual else _("StepFlow decides it by itself.")
    if item.get("before"):
        yield _("Has to be settled before: {phase}").format(phase=phase_title(str(item["before"]), status))
    if item.get("by"):
        yield _("By: {who}").format(who=clean_line(str(item["by"])))
    if item.get("at"):
        yield _("At: {time}").format(time=clean_line(str(item["at"])))
    if item.get("note"):
        yield _("Note: {text}").format(text=clean_line(str(item["note"])))
