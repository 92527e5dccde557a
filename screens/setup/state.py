"""What the pages of the set-up have gathered so far."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stepflow_tui.engine.model.advice import Advice, Answers
from stepflow_tui.engine.model.draft import EMBEDDED, FILES, IN_PLACE, MODES, ApplicationDraft, Draft
from stepflow_tui.engine.model.draft import VARIABLES as LOOKED_UP
from stepflow_tui.facade import Facade

SERVER = "server"
"""A target that is an address, beside `embedded` and `environment`."""
VARIABLES = ("DATABASE_URL", "STEPFLOW_DATABASE_URL")
"""Under which name an address with a password is handed over; the second where the first means another database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupState:
    """All answers. `source` and `path` as typed, relative to `folder`; `password` stays in memory."""

    folder: Path
    path: str = "stepflow.yaml"
    source: str = ""
    facts: Mapping[str, Any] | None = None
    answers: Answers = field(default_factory=Answers)
    advice: Advice | None = None
    kind: str = "sqlite-to-postgres"
    mode: str = "copy"
    target: str = EMBEDDED
    address: str = ""
    password: str = field(default="", repr=False)
    name: str = ""
    environment: str = "staging"
    schema: str = "public"
    level: str = "detailed"
    on_bad_value: str = "reject"
    backup_dir: str = ""
    owners: Mapping[str, str] = field(default_factory=dict)
    window: str = "30m"
    max_wait: str = "60s"
    page_size: str = ""
    observe: str = ""
    application: ApplicationDraft = field(default_factory=ApplicationDraft)

    @property
    def in_place(self) -> bool:
        """Whether the database stays where it is: then there is no target."""
        return self.kind in IN_PLACE

    @property
    def fitting_mode(self) -> str:
        """The mode, or the kind's own where it was chosen for another kind."""
        modes = MODES.get(self.kind, (self.mode,))
        return self.mode if self.mode in modes else modes[0]

    def place(self, typed: str) -> Path:
        """A typed path: relative ones lie in the folder."""
        return self.folder / os.path.expanduser(typed)  # noqa: PTH111 - pathlib raises for an unknown user's home

    def aim(self, api: Facade) -> str:
        """The target to connect to, with the password."""
        if self.target != SERVER:
            return self.target
        return api.with_password(self.address, self.password) if self.password else self.address

    def variable(self, api: Facade, env: Mapping[str, str]) -> str:
        """The variable that carries an address with a password, "" where none is needed."""
        if self.in_place or self.target != SERVER or not self.password:
            return ""
        first, second = VARIABLES
        return first if env.get(first, "") in ("", self.aim(api)) else second

    def draft(self, api: Facade, env: Mapping[str, str]) -> Draft:
        """What is to be written."""
        variable = self.variable(api, env)
        items = {item for _when, item in api.manual_items(self.kind)}  # another kind may have been chosen since
        target = f"${{{variable}}}" if variable else self.address if self.target == SERVER else self.target
        return Draft(
            kind=self.kind,
            mode=self.fitting_mode,
            source=self._written(self.source),
            target=LOOKED_UP if self.in_place else target,
            name=self.name,
            environment=self.environment,
            schema=self.schema,
            level=self.level,
            on_bad_value=self.on_bad_value,
            backup_dir=self._written(self.backup_dir) if self.backup_dir else "",
            owners={item: person for item, person in self.owners.items() if person and item in items},
            window=self.window,
            max_wait=self.max_wait,
            page_size=self.page_size,
            observe=self.observe,
            application=self._application(),
        )

    def _application(self) -> ApplicationDraft:
        """The application's side, with its paths as they are written."""
        told = self.application
        fields = {key: self._written(value) if key in FILES else value for key, value in told.fields.items()}
        return replace(told, fields=fields, settings_file=self._written(told.settings_file))

    def _written(self, typed: str) -> str:
        """A path as `config_text` takes it: relative ones are relative to the current folder there."""
        if not typed or typed.startswith("~") or Path(typed).is_absolute():
            return typed
        return os.path.relpath(self.folder / typed)

    def with_source(self, source: str, facts: Mapping[str, Any] | None) -> SetupState:
        """Another source; a name that was made from the old one is forgotten."""
        return replace(self, source=source, facts=facts, name=self.name if source == self.source else "")
