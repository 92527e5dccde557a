"""Who steers a run, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line


def control_lines(control: Mapping[str, Any], *, me: str = "") -> Iterator[str]:
    """The holder, for how long, and who asked.

    Args:
        control: `control` of a status.
        me: the name under which this front end would hold it.
    """
    holder = control.get("holder")
    if holder is None:
        yield _("Nobody steers this run; the next one to act will.")
    elif holder == me:
        yield _("You steer this run ({who}).").format(who=clean_line(str(holder)))
    else:
        yield _("{who} steers this run.").format(who=clean_line(str(holder)))
    if holder is not None:
        left = words.seconds(control.get("seconds_left"))
        yield _("Control ends in {time} unless it is renewed.").format(time=left)
    if control.get("asked_by"):
        yield _("{who} asks for control.").format(who=clean_line(str(control["asked_by"])))
