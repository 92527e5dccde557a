"""Which characters of which settings files change at the switch, worked out and proven before anything is touched.

No message, and nothing that is shown, holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.application.settings_files import FORMATS, Facts, Format, Splice, Steps, Unfit, format_of
from stepflow_tui.engine.application.settings_files.text import matched
from stepflow_tui.engine.application.settings_place import Standing, look
from stepflow_tui.engine.application.settings_readers import as_read, refuse_filled_in
from stepflow_tui.engine.application.settings_shown import shown
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.config_application import Switch, SwitchFormat

BOM = b"\xef\xbb\xbf"
_STAND_IN = "c2p9xq7vkt4w8mzr5hjn3bdyf6gls0ae" * 2
"""Looks like a good password, so that rules on secrets have nothing to say about it."""
DUMMY_VALUES: Mapping[str, str] = {
    "target_dsn": f"postgresql://user:{_STAND_IN}@host:5432/database", "target_host": "host", "target_port": "5432",
    "target_name": "database", "target_user": "user", "target_password": _STAND_IN, "source_path": "/source.db",
}  # fmt: skip
"""Values for looking whether the switches can be carried out, where the target is not known yet."""
_PLACEHOLDER = re.compile(r"\{(target_[a-z]+|source_path)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """One changed setting, fit to be shown: secrets are `***`. `line` counts from 1; `old` is None for a new key."""

    file: Path
    line: int
    key: str
    old: str | None
    new: str

    @property
    def text(self) -> str:
        """`line 3: PORT: 8000 → 9000`."""
        before = "(not there)" if self.old is None else self.old or '""'
        after = self.new or '""'
        return f"line {self.line}: {self.key}: {before} → {after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What an undo must find again in a file that somebody edited since. Holds values: kept in private files only."""

    how: str  # set, added, pattern
    key: str
    old: str = field(repr=False, default="")  # added: "", pattern: the whole match before
    new: str = field(repr=False, default="")  # added: what was put in, pattern: the whole match after


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One file's change: all of it, worked out and proven. `after` equals what stands now when nothing has to change."""

    place: Standing
    after: bytes = field(repr=False)
    format: SwitchFormat | None
    marks: tuple[Mark, ...] = field(repr=False)
    lines: tuple[DiffLine, ...]

    @property
    def file(self) -> Path:
        """As the config names it."""
        return self.place.file

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of what really changes."""
        return tuple(line.key for line in self.lines)


def plan_edits(switches: Sequence[Switch], values: Mapping[str, str]) -> tuple[Edit, ...]:
    """Work out every file's change. Nothing is written.

    Args:
        switches: the config's; entries for one file become one edit.
        values: for the placeholders: target_dsn, target_host, target_port, target_name, target_user, target_password,
            source_path.

    Raises:
        Refused: `setting_*`, one file or key can't be changed; says which and what to do, never a value.
    """
    places: dict[Path, Standing] = {}
    groups: dict[Path, list[Switch]] = {}
    for switch in switches:
        place = look(switch.file)
        places.setdefault(place.real, place)
        groups.setdefault(place.real, []).append(switch)
    return tuple(_edit(places[real], group, values) for real, group in groups.items())


def changed_lines(edit: Edit) -> tuple[DiffLine, ...]:
    """The changes of a file as they may be shown."""
    return edit.lines


def filled(template: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders filled in; other braces stay.

    Raises:
        Unfit: `setting_placeholder`, one that nothing stands for.
    """
    unknown = [n for n in _PLACEHOLDER.findall(template) if n not in values]
    if unknown:
        raise Unfit(
            "setting_placeholder",
            f"{{{unknown[0]}}} stands for nothing here",
            "the placeholders are " + ", ".join(sorted(DUMMY_VALUES)),
        )
    return _PLACEHOLDER.sub(lambda m: values[m[1]], template)


def decoded(data: bytes) -> str:
    """The text of a file's bytes, without a byte order mark.

    Raises:
        Unfit: it is not UTF-8, or holds zero bytes.
    """
    try:
        text = data.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        raise Unfit("setting_not_utf8", "it is not UTF-8", "save it as UTF-8") from None
    if "\x00" in text:
        raise Unfit("setting_not_utf8", "it holds zero bytes", "name a file of text")
    return text


def encoded(text: str, like: bytes) -> bytes:
    """The text as bytes, with a byte order mark if there was one."""
    return (BOM if like.startswith(BOM) else b"") + text.encode()


def proven(form: Format, before: str, after: str, splices: Sequence[Splice]) -> bool:
    """Whether the new text, read again, says the wanted values and is unchanged in everything else."""
    ways = [s.steps for s in splices]
    expected: Facts = {k: v for k, v in form.facts(before).items() if not _under(k, ways)}
    for splice in splices:
        expected |= splice.facts or {}
    return form.facts(after) == expected


def _under(steps: Steps, ways: Sequence[Steps]) -> bool:
    return any(steps[: len(way)] == way for way in ways)


@dataclass(slots=True, kw_only=True)
class _Work:
    """One file's change in the making: every setting is changed in what the one before left."""

    place: Standing
    values: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)
    key: str = ""  # what is being worked on, for messages
    splices: list[Splice] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    lines: list[DiffLine] = field(default_factory=list)

    def filled(self, template: str, form: SwitchFormat | None) -> str:
        """The new value, as the file's reader gets it right."""
        wanted = filled(template, self.values)
        refuse_filled_in(self.place.file, form, wanted)
        return wanted

    def add(self, splice: Splice) -> None:
        """Carry the change out on the text, and note what an undo must know and what is shown of it."""
        changed = splice.apply(self.text)
        self.splices.append(splice)
        if changed == self.text:
            return
        how = "pattern" if splice.whole else "added" if splice.added else "set"
        old, new = splice.whole or ("", splice.text if splice.added else "")
        self.marks.append(Mark(how=how, key=splice.key, old=old, new=new))
        self.lines.append(self._line(splice, changed))
        self.text = changed

    def _line(self, splice: Splice, changed: str) -> DiffLine:
        begin = splice.start + len(splice.text) - len(splice.text.lstrip())
        # A pattern names no key: all that its line says before the value counts as its name.
        name = self.text[self.text.rfind("\n", 0, splice.start) + 1 : splice.start] if splice.whole else splice.key
        secrets = [self.values.get("target_password", ""), self.values.get("target_password", "").replace("$$", "$")]
        return DiffLine(
            file=self.place.file, line=changed.count("\n", 0, begin) + 1, key=splice.key,
            old=None if splice.added else shown(splice.old, key=name, secrets=secrets),
            new=shown(splice.new, key=name, secrets=secrets),
        )  # fmt: skip


def _edit(place: Standing, switches: Sequence[Switch], values: Mapping[str, str]) -> Edit:
    work = _Work(place=place, values=as_read(place.file, values), text="")
    try:
        work.text = decoded(place.data)
        form = _format(place.real, switches)
        if form is not None:
            _assign(work, form, switches)
        for work.key, pattern, template in _patterns(switches):
            work.add(matched(work.text, pattern, work.filled(template, None)))
    except RecursionError:
        raise Refused(
            f"The settings file {place.file} is nested too deeply.",
            hint="Name another file.",
            code="setting_unreadable",
        ) from None
    except Unfit as unfit:
        where = f"{place.file}: {work.key}" if work.key else str(place.file)
        raise Refused(
            f"The setting {where} can't be changed: {unfit.text}.", hint=_sentence(unfit.hint), code=unfit.code
        ) from None
    return Edit(
        place=place, after=encoded(work.text, place.data), format=form, marks=tuple(work.marks), lines=tuple(work.lines)
    )


def _assign(work: _Work, kind: SwitchFormat, switches: Sequence[Switch]) -> None:
    before, form = work.text, FORMATS[kind]
    for work.key, template in _wanted(switches).items():
        work.add(form.splice(work.text, work.key, work.filled(template, kind)))
    if not proven(form, before, work.text, work.splices):
        raise Unfit(
            "setting_not_proven",
            "read again, the changed file would not say exactly what it should",
            "change it by hand, or use `pattern`",
        )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _format(file: Path, switches: Sequence[Switch]) -> SwitchFormat | None:
    """The file's format, None where patterns alone are used."""
    if not any(s.assignments for s in switches):
        return None
    # A link may tell less by its name than the file it leads to.
    formats = {s.format or format_of(s.file) or format_of(file) for s in switches if s.assignments}
    if len(formats) > 1:
        raise Unfit("setting_format", "the config names several formats for it", "name the same `format` everywhere")
    found = formats.pop()
    if found is None or found is SwitchFormat.TEXT:
        raise Unfit("setting_format", "its format is not known by its name", "add `format`, or use `pattern` and `to`")
    return found


def _wanted(switches: Sequence[Switch]) -> dict[str, str]:
    """All keys of the file with their new texts."""
    wanted: dict[str, str] = {}
    for switch in switches:
        for key, secret in switch.assignments.items():
            if wanted.setdefault(key, secret.get_secret_value()) != secret.get_secret_value():
                raise Unfit("setting_wanted_twice", f"the config gives {key} two values", "keep one of them")
    return wanted


def _patterns(switches: Sequence[Switch]) -> list[tuple[str, str, str]]:
    """Number, pattern and new text of each."""
    found = [(s.pattern, s.to.get_secret_value()) for s in switches if s.pattern is not None and s.to is not None]
    return [(f"pattern {i}" if len(found) > 1 else "pattern", p, to) for i, (p, to) in enumerate(found, start=1)]
