"""The config that is kept for the way back: as it was, readable by its owner alone, and never with secrets in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepflow_tui.engine.config import config_of
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.steps.application.bookkeeping import FOLDER
from stepflow_tui.engine.steps.application.kept_config import (
    BLOTTED,
    FILE,
    config_to_go_back,
    forget_config,
    keep_config,
)

CONFIG = """\
name: shop
kind: sqlite-to-postgres
mode: offline
source: {path: shop.db}
target: {dsn: "%s"}
application:
  recipe: {kind: command, command: serve, pid_file: /tmp/shop.pid, env: {PORT: "8000", %s}}
"""
ENV = {"PGPW": "from-outside", "KEY": "from-outside"}


def keep(folder: Path, dsn: str, variable: str) -> list[str]:
    """Keep such a config. Returns the names of what is kept."""
    text = CONFIG % (dsn, variable)
    (folder / FOLDER).mkdir()
    (folder / "c.yaml").write_text(text)
    whole = keep_config(folder, config_of(text.encode(), folder / "c.yaml", ENV), redactor(()))
    names = [p.name for p in (folder / FOLDER).iterdir()]
    assert names == [FILE if whole else BLOTTED]
    assert (folder / FOLDER / names[0]).stat().st_mode & 0o777 == 0o600
    assert not whole or (folder / FOLDER / FILE).read_text() == text
    return names


@pytest.mark.parametrize(
    "dsn", ["postgresql://u@h/d", "postgresql://u:${PGPW}@h/d", "postgresql://u@h/d?password=${PGPW}"]
)
@pytest.mark.parametrize("variable", ["SECRET_KEY: '${KEY}'", "DEBUG: 'on'"])
def test_a_config_without_secrets_is_kept_as_it_is(tmp_path: Path, dsn: str, variable: str) -> None:
    assert keep(tmp_path, dsn, variable) == [FILE]
    (tmp_path / "c.yaml").unlink()
    back = config_to_go_back(tmp_path, tmp_path / "c.yaml", ENV)
    assert (back.kept, back.config.application.recipe[0].env["PORT"].get_secret_value()) == (True, "8000")
    forget_config(tmp_path)
    assert list((tmp_path / FOLDER).iterdir()) == []


SECRETS = [
    ("postgresql://u:canary-7@h/d", "DEBUG: 'on'"),
    ("postgresql://u:${PGPW:-canary-7}@h/d", "DEBUG: 'on'"),
    ("postgresql://u@h/d?password=canary-7", "DEBUG: 'on'"),
    ("postgresql://u@h/d", "SECRET_KEY: canary-7"),
]


@pytest.mark.parametrize(("dsn", "variable"), SECRETS)
def test_secrets_are_not_kept_and_come_from_where_they_stand(tmp_path: Path, dsn: str, variable: str) -> None:
    file = tmp_path / "c.yaml"
    assert keep(tmp_path, dsn, variable) == [BLOTTED]
    assert "canary" not in (tmp_path / FOLDER / BLOTTED).read_text()
    was = config_of(file.read_bytes(), file, ENV)
    file.write_text(file.read_text().replace("mode: offline", "mode: copy").replace("shop.db", "other.db"))
    back = config_to_go_back(tmp_path, file, ENV)
    assert (back.kept, back.config) == (True, was.config)
    file.write_text("mode: [offline\n")
    with pytest.raises(Refused, match="edited since the application was stopped"):
        config_to_go_back(tmp_path, file, ENV)
    forget_config(tmp_path)
    assert list((tmp_path / FOLDER).iterdir()) == []
