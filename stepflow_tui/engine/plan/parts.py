"""What the builders put together: statements and objects, each with an id of its own that stays the same from plan to plan."""

from __future__ import annotations

from dataclasses import dataclass, field

from stepflow_tui.engine.model.plan import ObjectType, PlannedObject, Stage, Statement
from stepflow_tui.engine.plan.names import Namespace
from stepflow_tui.engine.plan.translate.helpers import HELPERS


@dataclass(slots=True, kw_only=True)
class Parts:
    """The plan in the making. `relations` are the names of the target schema: tables, indexes, sequences and views."""

    schema: str
    relations: Namespace = field(default_factory=Namespace)
    constraints: dict[str, Namespace] = field(default_factory=dict)  # by source table
    functions: Namespace = field(default_factory=lambda: Namespace(HELPERS))
    statements: list[Statement] = field(default_factory=list)
    objects: list[PlannedObject] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    _ids: set[str] = field(default_factory=set)

    def constraint(self, table: str, wanted: str) -> str:
        """A constraint name that is free on that table."""
        return self.constraints.setdefault(table, Namespace()).take(wanted)

    def object(
        self, kind: ObjectType, name: str, table: str | None, *, carried: bool, reason: str = "", sql: str = ""
    ) -> str:
        """Note an object of the source and what becomes of it; returns its id."""
        object_id = self._unique(f"{kind.value}:{table or ''}:{name}")
        self.objects.append(
            PlannedObject(id=object_id, type=kind, name=name, table=table, carried=carried, reason=reason, sql=sql)
        )
        return object_id

    def statement(
        self,
        stage: Stage,
        what: str,
        sql: str,
        *,
        table: str | None = None,
        object_id: str | None = None,
        optional: bool = False,
        undo: str = "",
    ) -> None:
        """Add a statement; `what` names it within its stage, `undo` takes back what dropping the tables would not."""
        self.statements.append(
            Statement(
                id=self._unique(f"{stage.value}:{what}"),
                stage=stage,
                sql=sql,
                table=table,
                object_id=object_id,
                optional=optional,
                undo=undo,
            )
        )

    def _unique(self, wanted: str) -> str:
        made, count = wanted, 1
        while made in self._ids:
            count += 1
            made = f"{wanted}#{count}"
        self._ids.add(made)
        return made
