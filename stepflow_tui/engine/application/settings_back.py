"""Taking only our settings back in a file that somebody edited since: their lines stay."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from stepflow_tui.engine.application.settings_files import FORMATS, Format, Unfit
from stepflow_tui.engine.application.settings_plan import Mark, decoded, encoded
from stepflow_tui.engine.model.config_application import SwitchFormat


def merged_back(now: bytes, before: bytes, after: bytes, form: SwitchFormat | None, marks: Sequence[Mark]) -> bytes:
    """The present content with our settings as they were.

    Raises:
        Unfit: one of them is neither as we left it nor as it was.
    """
    text, old, new = decoded(now), decoded(before), decoded(after)
    for mark in reversed(marks):
        try:
            text = _taken_back(text, old, new, form, mark)
        except RecursionError:
            raise _edited(mark.key) from None
    return encoded(text, now)


def _taken_back(text: str, old: str, new: str, form: SwitchFormat | None, mark: Mark) -> str:
    if mark.how == "pattern" or form is None:
        return _pattern(text, mark)
    return _added(text, mark, FORMATS[form]) if mark.how == "added" else _set(text, old, new, mark.key, FORMATS[form])


def _set(text: str, old: str, new: str, key: str, form: Format) -> str:
    here, was, made = form.place(text, key), form.place(old, key), form.place(new, key)
    if here is None or was is None or made is None:
        raise _edited(key)
    present, before = text[here.start : here.end], old[was.start : was.end]
    if present == before:
        return text
    if present != new[made.start : made.end]:
        raise _edited(key)
    # Where there was no value, a blank was put before the new one.
    blank = not before and text[here.start - 1 : here.start] == " " and old[was.start - 1 : was.start] != " "
    return text[: here.start - blank] + before + text[here.end :]


def _added(text: str, mark: Mark, form: Format) -> str:
    if form.place(text, mark.key) is None:
        return text
    if text.count(mark.new) == 1:
        without = text.replace(mark.new, "")
        with suppress(Unfit):  # what was written around it would stand there broken
            if form.place(without, mark.key) is None and _others(form, without, mark.key) == _others(
                form, text, mark.key
            ):
                return without
    raise _edited(mark.key)


def _others(form: Format, text: str, key: str) -> object:
    """All that the text says, but for that key."""
    place = form.place(text, key)
    return {k: v for k, v in form.facts(text).items() if place is None or k[: len(place.steps)] != place.steps}


def _pattern(text: str, mark: Mark) -> str:
    if text.count(mark.new) == 1:
        return text.replace(mark.new, mark.old)
    if text.count(mark.old) == 1 and mark.new not in text:
        return text
    raise _edited(mark.key)


def _edited(key: str) -> Unfit:
    return Unfit(
        "setting_changed_since",
        f"{key} is neither as we left it nor as it was before",
        "everything else in it stays as it is",
    )
