"""A group of settings files: all are changed or none, and every problem is named before the first is touched."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stepflow_tui.engine.application import settings_group, settings_place
from stepflow_tui.engine.application.settings import (
    Edit,
    apply_group,
    check_undo,
    forget_group,
    plan_edits,
    standing,
    undo_group,
)
from stepflow_tui.engine.application.settings_place import look, torn
from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.model.config_application import Switch
from tests.settings_kit import PASSWORD, VALUES, edit, switch

ENV = b"# the shop\nDATABASE_URL=sqlite:///shop.db # file\nPORT=8000\n"
YAML = b"database:\n  kind: sqlite # kind\n  other: 1\n"
FLAG = b"USE_DATABASE = False\n"


class Shop:
    """Three settings files, and the switches that change them."""

    def __init__(self, folder: Path) -> None:
        self.keep = folder / "kept" / "settings"
        self.env, self.yaml, self.flag = (folder / n for n in (".env", "shop.yaml", "flags.py"))
        self.before = {self.env: ENV, self.yaml: YAML, self.flag: FLAG}
        for file, data in self.before.items():
            file.write_bytes(data)

    @property
    def switches(self) -> list[Switch]:
        """Two of them for one file."""
        return [
            switch(self.env, {"DATABASE_URL": "{target_dsn}"}),
            switch(self.yaml, {"database.kind": "postgresql"}),
            switch(self.flag, pattern=r"USE_DATABASE = (?P<value>\w+)", to="True"),
            switch(self.env, {"DB_PASSWORD": "{target_password}"}),
        ]

    def plan(self) -> tuple[Edit, ...]:
        """All changes."""
        return plan_edits(self.switches, VALUES)

    @property
    def now(self) -> dict[Path, bytes]:
        """What the files hold."""
        return {file: file.read_bytes() for file in self.before}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_all_files_change_and_come_back(shop: Shop) -> None:
    shop.env.chmod(0o640)
    edits = shop.plan()
    assert [e.file for e in edits] == [shop.env, shop.yaml, shop.flag]
    assert shop.now == shop.before
    apply_group(edits, shop.keep)
    assert {f: data == e.after for (f, data), e in zip(shop.now.items(), edits, strict=True)} == dict.fromkeys(
        shop.before, True
    )
    assert PASSWORD.encode() in shop.env.read_bytes()
    assert stat.S_IMODE(shop.env.stat().st_mode) == 0o640
    assert standing(shop.keep)
    assert stat.S_IMODE(shop.keep.stat().st_mode) == 0o700
    assert {stat.S_IMODE(f.stat().st_mode) for f in shop.keep.iterdir()} == {0o600}
    apply_group(edits, shop.keep)  # an engine that was lost does it again
    assert undo_group(shop.keep) == (shop.env, shop.yaml, shop.flag)
    assert shop.now == shop.before
    assert stat.S_IMODE(shop.env.stat().st_mode) == 0o640
    assert undo_group(shop.keep) == ()
    assert not standing(shop.keep)
    assert list(shop.keep.iterdir()) == []
    assert sorted(f.name for f in shop.env.parent.iterdir()) == [".env", "flags.py", "kept", "shop.yaml"]


def test_what_stands_already_is_no_change(shop: Shop) -> None:
    apply_group(shop.plan(), shop.keep)
    forget_group(shop.keep)
    assert not standing(shop.keep)
    [planned] = plan_edits(shop.switches[:1], VALUES)
    assert (planned.lines, planned.after) == ((), shop.env.read_bytes())


def test_a_file_changed_meanwhile_is_refused_and_nothing_is_touched(shop: Shop) -> None:
    edits = shop.plan()
    shop.yaml.write_bytes(YAML + b"new: 1\n")
    with pytest.raises(Refused) as refused:
        apply_group(edits, shop.keep)
    assert refused.value.code == "setting_changed_meanwhile"
    assert str(shop.yaml) in refused.value.message
    assert shop.now == shop.before | {shop.yaml: YAML + b"new: 1\n"}
    assert not standing(shop.keep)


def test_a_file_changed_between_two_writes_takes_the_first_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    edits, real = shop.plan(), settings_group.write

    def meddle(place: settings_place.Standing, data: bytes, temporary: str) -> None:
        real(place, data, temporary)
        if place.file == shop.env:
            shop.flag.write_bytes(b"USE_DATABASE = False  # mine\n")

    monkeypatch.setattr(settings_group, "write", meddle)
    with pytest.raises(Refused) as refused:
        apply_group(edits, shop.keep)
    assert refused.value.code == "setting_changed_meanwhile"
    assert shop.now == shop.before | {shop.flag: b"USE_DATABASE = False  # mine\n"}
    assert not standing(shop.keep)


def test_a_file_that_can_not_be_written_takes_the_others_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = settings_group.write

    def full(place: settings_place.Standing, data: bytes, temporary: str) -> None:
        if place.file == shop.flag:
            raise OSError(28, "No space left on device")
        real(place, data, temporary)

    monkeypatch.setattr(settings_group, "write", full)
    with pytest.raises(StepFailed) as failed:
        apply_group(shop.plan(), shop.keep)
    assert (failed.value.code, failed.value.detail) == ("setting_not_written", "No space left on device")
    assert shop.now == shop.before
    assert not standing(shop.keep)


def test_other_settings_never_replace_a_group_that_stands(shop: Shop) -> None:
    apply_group(shop.plan(), shop.keep)
    other = plan_edits([switch(shop.yaml, {"database.other": "2"})], VALUES)
    with pytest.raises(Refused) as refused:
        apply_group(other, shop.keep)
    assert refused.value.code == "setting_standing"


def test_an_undo_keeps_what_somebody_edited_since(shop: Shop) -> None:
    apply_group(shop.plan(), shop.keep)
    shop.env.write_bytes(b"ADDED=1\n" + shop.env.read_bytes().replace(b"8000", b"9000"))
    shop.yaml.write_bytes(shop.yaml.read_bytes().replace(b"other: 1", b"other: 2\n  more: 3"))
    shop.flag.write_bytes(b"import os\n" + shop.flag.read_bytes())
    undo_group(shop.keep)
    assert shop.env.read_bytes() == b"ADDED=1\n" + ENV.replace(b"8000", b"9000")
    assert shop.yaml.read_bytes() == YAML.replace(b"other: 1", b"other: 2\n  more: 3")
    assert shop.flag.read_bytes() == b"import os\n" + FLAG


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [(".env", b"DATABASE_URL=", b"DATABASE_URL=x"), (".env", b"DB_PASSWORD=", b"DB_PASSWORD=x"),
     ("shop.yaml", b"postgresql", b"mysql"), ("flags.py", b"True", b"None")],
)  # fmt: skip
def test_an_undo_refuses_what_somebody_else_set(shop: Shop, name: str, old: bytes, new: bytes) -> None:
    apply_group(shop.plan(), shop.keep)
    check_undo(shop.keep)
    file = shop.env.parent / name
    file.write_bytes(file.read_bytes().replace(old, new))
    stands = shop.now
    with pytest.raises(Refused, match="was edited since"):
        check_undo(shop.keep)
    with pytest.raises(Refused) as refused:
        undo_group(shop.keep)
    assert refused.value.code == "setting_changed_since"
    assert str(file) in refused.value.message
    assert shop.now == stands
    assert standing(shop.keep)


def test_an_undo_never_takes_a_like_word_elsewhere_for_ours(tmp_path: Path) -> None:
    file, keep = tmp_path / "schema.prisma", tmp_path / "keep"
    file.write_text('provider = "sqlite"\nurl = "x"\n')
    apply_group(plan_edits([switch(file, pattern="sqlite", to="postgresql")], VALUES), keep)
    file.write_text('provider = "mysql"\nurl = "x"\n// was postgresql\n')
    with pytest.raises(Refused) as refused:
        undo_group(keep)
    assert refused.value.code == "setting_changed_since"
    assert file.read_text() == 'provider = "mysql"\nurl = "x"\n// was postgresql\n'
    file.write_text('provider = "postgresql"\nurl = "y"\n// was postgresql\n')
    undo_group(keep)
    assert file.read_text() == 'provider = "sqlite"\nurl = "y"\n// was postgresql\n'


def test_an_undo_that_would_break_the_file_is_refused_by_name(tmp_path: Path) -> None:
    file, keep = tmp_path / "a.json", tmp_path / "keep"
    file.write_text('{"b": {}}')
    apply_group(plan_edits([switch(file, {"b.c": "y"})], VALUES), keep)
    file.write_text('{"b": {"c": "y", "z": 1}}')
    with pytest.raises(Refused, match=r"b\.c is neither as we left it") as refused:
        undo_group(keep)
    assert refused.value.code == "setting_changed_since"
    assert file.read_text() == '{"b": {"c": "y", "z": 1}}'


def test_a_file_removed_since_comes_back(shop: Shop) -> None:
    shop.env.chmod(0o604)
    apply_group(shop.plan(), shop.keep)
    shop.env.unlink()
    undo_group(shop.keep)
    assert shop.now == shop.before
    assert stat.S_IMODE(shop.env.stat().st_mode) == 0o604


def test_something_else_in_the_files_place_is_told(shop: Shop) -> None:
    apply_group(shop.plan(), shop.keep)
    shop.yaml.unlink()
    shop.yaml.mkdir()
    with pytest.raises(Refused) as refused:
        undo_group(shop.keep)
    assert refused.value.code == "setting_not_a_file"
    shop.yaml.rmdir()
    undo_group(shop.keep)
    assert shop.now == shop.before


def test_damaged_keeping_is_told_and_changes_nothing(shop: Shop) -> None:
    apply_group(shop.plan(), shop.keep)
    stands = shop.now
    (shop.keep / "0.before").write_bytes(b"half")
    with pytest.raises(StepFailed) as failed:
        undo_group(shop.keep)
    assert failed.value.code == "setting_keep_damaged"
    assert shop.now == stands


def test_a_symlink_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.env", tmp_path / ".env"
    real.write_bytes(ENV)
    link.symlink_to(real)
    both = plan_edits([switch(link, {"PORT": "1"}), switch(real, {"DATABASE_URL": "x"})], VALUES)
    assert len(both) == 1, "two names of one file are one edit"
    apply_group(both, tmp_path / "keep")
    assert link.is_symlink()
    assert real.read_bytes() == b"# the shop\nDATABASE_URL=x # file\nPORT=1\n"


def _prepared(kind: str, file: Path) -> None:
    file.write_bytes(ENV)
    match kind:
        case "missing":
            file.unlink()
        case "dangling":
            file.unlink()
            file.symlink_to("nowhere")
        case "folder":
            file.unlink()
            file.mkdir()
        case "pipe":
            file.unlink()
            os.mkfifo(file)
        case "hard link":
            os.link(file, file.with_name("other"))
        case "read-only":
            file.chmod(0o444)
        case "huge":
            os.truncate(file, settings_place.MAX_BYTES + 1)
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "code"),
    [("missing", "setting_file_missing"), ("dangling", "setting_file_missing"), ("folder", "setting_not_a_file"),
     ("pipe", "setting_not_a_file"), ("hard link", "setting_hard_link"), ("read-only", "setting_read_only"),
     ("huge", "setting_too_large")],
)  # fmt: skip
def test_a_file_that_can_not_be_changed_is_named_beforehand(tmp_path: Path, kind: str, code: str) -> None:
    file = tmp_path / ".env"
    _prepared(kind, file)
    with pytest.raises(Refused) as refused:
        plan_edits([switch(file, {"PORT": "1"})], VALUES)
    assert refused.value.code == code
    assert str(file) in refused.value.message
    assert refused.value.hint


@contextmanager
def _as_nobody(folder: Path) -> Iterator[None]:
    """As a user who may not write to the folder; whoever runs the tests already is one, unless it is root."""
    folder.chmod(0o555)
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_can_not_be_written_is_named_beforehand(open_folder: Path) -> None:
    file = open_folder / ".env"
    file.write_bytes(ENV)
    file.chmod(0o666)
    if os.geteuid() == 0:
        os.chown(file, 65534, os.getegid())
    with _as_nobody(open_folder), pytest.raises(Refused) as refused:
        plan_edits([switch(file, {"PORT": "1"})], VALUES)
    assert refused.value.code == "setting_folder_read_only"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_file_of_another_user_stays_his(open_folder: Path) -> None:
    file = open_folder / ".env"
    file.write_bytes(ENV)
    file.chmod(0o666)
    keep = open_folder / "keep"
    keep.mkdir()
    os.chown(keep, 65534, 65534)
    with _as_nobody(open_folder):
        planned = edit(file, ENV, {"PORT": "1"})
        apply_group([planned], keep / "settings")
    assert planned.place.in_place, "a new file would belong to nobody"
    assert file.stat().st_uid == 0
    assert file.read_bytes() == ENV.replace(b"8000", b"1")


@contextmanager
def _system(command: list[str], back: list[str]) -> Iterator[None]:
    """A state of the system that not every machine lets a test make."""
    if shutil.which(command[0]) is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{command[0]} is not allowed here")
    try:
        yield
    finally:
        subprocess.run(back, check=True)


def test_an_immutable_file_is_named_beforehand(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(ENV)
    with _system(["chattr", "+i", str(file)], ["chattr", "-i", str(file)]), pytest.raises(Refused) as refused:
        plan_edits([switch(file, {"PORT": "1"})], VALUES)
    assert refused.value.code == "setting_read_only"


@pytest.mark.parametrize("known", [True, False])
def test_a_file_mounted_by_itself_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    outside, file = tmp_path / "outside", tmp_path / ".env"
    outside.write_bytes(ENV)
    file.touch()
    if not known:
        monkeypatch.setattr(settings_place, "_mount_points", set)
    with _system(["mount", "--bind", str(outside), str(file)], ["umount", str(file)]):
        edits = plan_edits([switch(file, {"PORT": "1"})], VALUES)
        assert edits[0].place.in_place is known
        apply_group(edits, tmp_path / "keep")
        assert outside.read_bytes() == ENV.replace(b"8000", b"1")
        undo_group(tmp_path / "keep")
        assert outside.read_bytes() == ENV
        assert sorted(f.name for f in tmp_path.iterdir()) == [".env", "keep", "outside"]


def test_extended_attributes_stay(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(ENV)
    with suppress(OSError):
        os.setxattr(file, "user.note", b"mine")
    before = os.listxattr(file)
    if not before:
        pytest.skip("this file system has no extended attributes")
    apply_group(plan_edits([switch(file, {"PORT": "1"})], VALUES), tmp_path / "keep")
    assert {n: os.getxattr(file, n) for n in os.listxattr(file)} == {"user.note": b"mine"}


def test_a_torn_file_is_told_from_an_edited_one() -> None:
    old, new = b"PORT=8000\nA=1\n", b"PORT=90000\nA=1\nB=2\n"
    states = [new[:k] + old[k:] for k in range(len(new) + 1)]
    assert all(torn(state, old, new) for state in states)
    assert not torn(b"C=1\n" + old, old, new)
    assert not torn(new + b"C=1\n", old, new)


def test_the_same_file_is_looked_at_the_same(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(ENV)
    first = look(file)
    assert look(file) == first
    file.chmod(0o600)
    assert look(file) != first
