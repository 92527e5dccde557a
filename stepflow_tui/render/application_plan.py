"""What the switch of the application would change, as text: settings, commands in their order, how each is undone.

Takes the object of `application_plan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepflow_tui.engine.texts.language import N_, _, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.application import outside, sentence, standing_line

Gauge = Mapping[str, Any]
Plan = Mapping[str, Any]

ACTIONS: dict[str, str] = {
    "prepare": N_("prepare, while it still runs"),
    "stop": N_("stop"),
    "settings": N_("settings"),
    "build": N_("build"),
    "deploy": N_("deploy"),
    "start": N_("start"),
    "undo": N_("undo"),
}
"""What a recipe does, as a dry run calls it."""


def plan_lines(plan: Plan) -> Iterator[str]:
    """What would be changed, run and taken back, and what stands against it. Nothing of it is done."""
    if not plan.get("configured"):
        yield _("No application is configured: what it needs is done by hand, and stands in the checklist.")
        return
    if plan.get("mode") == "copy" and (plan.get("settings") or plan.get("commands")):
        yield _(
            "In mode copy the run does nothing of this: whoever switches the application does it, when the run is complete."
        )
        yield ""
    if plan.get("mode") == "in-place" and plan.get("commands") and not _changes(plan):
        yield _("The conversion goes on beside the application. Only the way back stops and starts it, like this.")
        yield ""
    yield from problem_lines(plan)
    if plan.get("settings") or not plan.get("problems"):  # where they could not be planned, "none" would be wrong
        yield from _settings(plan.get("settings") or ())
    yield from _commands(plan.get("commands") or ())
    yield from _asked(plan)
    if found := list(plan.get("found") or ()):
        yield ""
        yield _("What stands now")
        yield from (f"  {words.about(outside(row['recipe']), standing_line(row))}" for row in found)


def _changes(plan: Plan) -> bool:
    """Whether it gets other settings or other code; what only restarts it is of use on the way back alone."""
    return bool(plan.get("settings")) or any(c["action"] in ("build", "deploy") for c in plan.get("commands") or ())


def problem_lines(plan: Plan) -> Iterator[str]:
    """What stands against it, with what helps."""
    problems = plan.get("problems") or ()
    if problems:
        yield _("In the way ({count})").format(count=len(problems))
    for problem in problems:
        yield "  " + sentence(problem["message"]) + f" ({problem['code']})"
        for key in ("detail", "hint"):
            if problem.get(key):
                yield "    " + sentence(problem[key])
    if problems:
        yield ""


def _settings(files: Sequence[Gauge]) -> Iterator[str]:
    if not files:
        yield _("No settings are changed.")
        return
    yield _("Settings that change (secrets are hidden)")
    for file in files:
        yield f"  {outside(file['file'])}"
        for line in file.get("lines") or ():
            yield from (f"    {text}" for text in diff_lines(line))


def diff_lines(line: Gauge) -> Iterator[str]:
    """One line of a file, before and after; secrets are hidden in it already."""
    number, key = line.get("line"), outside(line.get("key") or "")
    at = f"{number}" if number is not None else _("new")
    before, after = line.get("before"), line.get("after")
    if before is not None:
        yield f"{at:>5} - {_side(key, before)}"
    if after is not None:
        yield f"{at:>5} + {_side(key, after)}"


def _side(key: str, value: object) -> str:
    text = outside(value)
    return f"{key} = {text}" if key else text


def _commands(commands: Sequence[Gauge]) -> Iterator[str]:
    yield ""
    if not commands:
        yield _("No recipe: the application is stopped and started by hand.")
        return
    for undo, title in ((False, _("In this order")), (True, _("Taken back by"))):
        chosen = [c for c in commands if (c["action"] == "undo") is undo]
        if chosen:
            yield title
        for number, command in enumerate(chosen, start=1):
            yield f"  {number}. {command_line(command)}"


def command_line(command: Gauge) -> str:
    """`stop (systemd shop): systemctl stop shop`."""
    action = str(command["action"])
    name = _(ACTIONS[action]) if action in ACTIONS else outside(action)
    if command.get("recipe"):
        name = f"{name} ({outside(command['recipe'])})"
    return words.about(name, _done(command))


def _done(command: Gauge) -> str:
    lines = command.get("lines")
    if lines is None:
        return sentence(command["text"])
    if command["action"] == "undo":
        return _("the settings are put back as they were, before the old application is started")
    return ngettext("{count} setting is changed", "{count} settings are changed", lines).format(
        count=words.count(lines)
    )


def _asked(plan: Plan) -> Iterator[str]:
    """How it is known to be well afterwards, and what measures it."""
    yield ""
    health = plan.get("health") or ()
    if health:
        yield _("It counts as started when every check has passed:")
        yield from (f"  {outside(what)}" for what in health)
    else:
        yield _("No health check: that it runs is all that is known after a start.")
    if plan.get("probes"):
        yield words.about(_("Tried out by"), words.listed(map(outside, plan["probes"])))
    if plan.get("availability"):
        yield words.about(_("Availability is measured at"), outside(plan["availability"]))
