"""The SQL that will run, in the order of execution, with its words coloured."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import ClassVar

from rich.text import Span, Text

from screens.glyphs import Glyphs
from screens.pages.lines import DIM, Page, blank, heading, line
from screens.pages.view import PlanView
from screens.widgets.document import Line
from stepflow_tui.engine.model.plan import Statement
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

_WORDS = (
    "ADD|ALTER|ALWAYS|AND|AS|BEFORE|AFTER|BEGIN|BY|CASCADE|CASE|CAST|CHECK|COLLATE|COLUMN|COMMENT|CONSTRAINT|CREATE"
    "|CURRENT_TIMESTAMP|DEFAULT|DEFERRABLE|DEFERRED|DELETE|DISTINCT|DO|DROP|EACH|ELSE|END|EXCEPTION|EXECUTE|EXISTS"
    "|FALSE|FOR|FOREIGN|FROM|FUNCTION|GENERATED|GRANT|GROUP|HAVING|IDENTITY|IF|IMMUTABLE|IN|INDEX|INITIALLY|INSERT"
    "|INTO|IS|JOIN|KEY|LANGUAGE|LEFT|LIKE|LIMIT|NEW|NO|NOT|NULL|OF|OLD|ON|OR|ORDER|OWNER|PRIMARY|REFERENCES|REPLACE"
    "|RESTRICT|RETURN|RETURNS|ROW|SCHEMA|SELECT|SEQUENCE|SET|START|STORED|TABLE|THEN|TO|TRIGGER|TRUE|UNION|UNIQUE"
    "|UPDATE|USING|VALID|VALIDATE|VALUES|VIEW|WHEN|WHERE|WITH"
)
_TOKENS = re.compile(
    rf"(?P<comment>--[^\n]*)|(?P<string>'(?:[^']|'')*')|(?P<name>\"(?:[^\"]|\"\")*\")|(?P<word>\b(?:{_WORDS})\b)"
    r"|(?P<number>\b\d+(?:\.\d+)?\b)",
    re.IGNORECASE,
)
_STYLES = {"comment": "dim", "string": "green", "name": "cyan", "word": "bold", "number": "magenta"}


class SqlPage(Page[PlanView]):
    """All statements."""

    NAME: ClassVar[str] = N_("SQL")
    HELP: ClassVar[str] = N_(
        "Every statement the run executes in the target, in order. / searches, n and N go from match to match. x writes it to a"
        " file."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """The statements by stage."""
        stage = None
        for statement in view.plan.statements if view.plan is not None else ():
            if statement.stage is not stage:
                if stage is not None:
                    yield blank()
                stage = statement.stage
                yield heading(f"-- {words.phrase(stage.value)}")
            yield from _statement(statement)


def _statement(statement: Statement) -> Iterator[Line]:
    # coloured as a whole, for strings may span lines
    shown = "\n".join(clean_line(part) for part in statement.sql.rstrip(";").split("\n")) + ";"
    for part in highlighted(shown):
        yield Line(part, "", len(part.plain) - len(part.plain.lstrip()) + 4)
    if statement.optional:
        text = "-- " + _("may be refused: then its object is listed as not carried, and the run goes on")
        yield line(text, DIM, hang=3)


def highlighted(sql: str) -> list[Text]:
    """SQL in lines, with coloured words. A pattern over the text: whatever a name holds, it stays text."""
    lines = [(part, list[Span]()) for part in sql.split("\n")]
    starts = list(accumulate((len(part) + 1 for part, _spans in lines), initial=0))
    for match in _TOKENS.finditer(sql):
        style = _STYLES[match.lastgroup or "word"]
        first, last = (bisect_right(starts, at) - 1 for at in (match.start(), match.end() - 1))
        for number in range(first, last + 1):
            part, spans = lines[number]
            begin, end = match.start() - starts[number], match.end() - starts[number]
            spans.append(Span(max(0, begin), min(len(part), end), style))
    return [Text(part, spans=spans, end="") for part, spans in lines]
