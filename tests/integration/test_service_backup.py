"""The archive of the application's files: every kind of file, every trouble by name, and the proof that it is sound."""

from __future__ import annotations

import gzip
import json
import os
import socket
import sqlite3
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application import archive as making
from stepflow_tui.engine.application.archive import LeaveOut, make_archive
from stepflow_tui.engine.application.archive_check import changed_since, check_archive
from stepflow_tui.engine.application.archive_copy import copy_archive
from stepflow_tui.engine.application.archive_manifest import Archive, Kind, Why, archive_of, manifest_of, read_archive
from stepflow_tui.engine.application.archiving import Wanted, archive_files, findings_of, summary
from stepflow_tui.engine.checks import check_context, source_busy_timeout
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import DiskFull, Refused, StepFailed
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.sqlite.backup import make_backup
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.steps.backup import _prune
from stepflow_tui.engine.texts import render
from tests.acceptance.harness import Stand, standing
from tests.integration.sources import make_db
from tests.run_kit import write_config


def made(folder: Path, *places: Path, **leave_out: list[Path]) -> Archive:
    return make_archive(places, folder / "b" / "r.files.tar.gz", leave_out=LeaveOut(**leave_out), now_ms=7)


def why(archive: Archive) -> dict[Why, list[str]]:
    found: dict[Why, list[str]] = {}
    for note in archive.notes:
        found.setdefault(note.why, []).append(Path(note.path).name)
    return found


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("eins")
    (folder / "sub" / "b.bin").write_bytes(os.urandom(3_000_000))
    (folder / "empty").touch()
    (folder / "sub").chmod(0o750)
    (folder / "a.txt").chmod(0o640)
    return folder


def test_it_holds_every_member_as_it_was(site: Path, tmp_path: Path) -> None:
    archive = made(tmp_path, site)
    assert archive.notes == ()
    assert check_archive(archive).verified
    assert changed_since(archive) == ()
    assert read_archive(archive.file) == archive
    assert [m.path for m in archive.members] == ["", "a.txt", "empty", "sub", "sub/b.bin"]
    by_path = {m.path: m for m in archive.members}
    assert (by_path["sub"].mode, by_path["a.txt"].mode, by_path["a.txt"].size) == (0o750, 0o640, 4)
    for file in (archive.file, manifest_of(archive.file)):
        assert file.stat().st_mode & 0o077 == 0
    assert sorted(p.name for p in archive.file.parent.iterdir()) == ["r.files.tar.gz", "r.files.tar.gz.json"]
    with tarfile.open(archive.file) as tar:  # anybody's tar can read it
        data = tar.extractfile("0/sub/b.bin")
        assert data is not None
        assert data.read() == (site / "sub" / "b.bin").read_bytes()


def test_every_kind_of_file(site: Path, tmp_path: Path) -> None:
    (site / "link").symlink_to("a.txt")
    (site / "away").symlink_to("/etc/hostname")
    (site / "nowhere").symlink_to("gone")
    os.link(site / "a.txt", site / "twin")
    os.mkfifo(site / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(site / "sock"))
    with (site / "holes").open("wb") as file:
        file.truncate(40_000_000)
        file.seek(39_000_000)
        file.write(b"end")
    odd = os.fsdecode(os.fsencode(site) + b"/caf\xe9")
    Path(odd).write_text("latin")
    (site / "neue\nzeile 'q").write_text("x")
    archive = made(tmp_path, site)
    assert why(archive) == {
        Why.NOT_UTF8: ["caf\udce9"],
        Why.OUTSIDE: ["away"],
        Why.SPARSE: ["holes"],
        Why.SPECIAL: ["pipe", "sock"],
    }
    assert check_archive(archive).verified
    kinds = {m.path: (m.kind, m.target) for m in archive.members}
    assert kinds["link"] == (Kind.SYMLINK, "a.txt")
    assert kinds["nowhere"] == (Kind.SYMLINK, "gone")
    assert kinds["twin"] == (Kind.HARDLINK, "0/a.txt")
    assert archive.bytes < 5_000_000
    for finding in findings_of(read_archive(archive.file) or archive):
        words = render(finding)
        assert "{" not in words.what + words.why + words.fix
        words.what.encode()  # what is shown is UTF-8
    assert {f.code: f.severity for f in findings_of(archive)}["archive_link_outside"] is Severity.WARNING


def test_the_database_is_left_out_under_every_name_and_others_are_named(site: Path, tmp_path: Path) -> None:
    source = make_db(site / "shop.db")
    os.link(source, site / "also.db")
    (site / "shop.db-wal").write_bytes(b"x")
    make_db(site / "cache.db")
    state = site / "state"
    state.mkdir()
    (state / "journal.db").write_text("ours")
    archive = made(tmp_path, site, source=[source, site / "shop.db-wal"], own=[state])
    assert why(archive) == {
        Why.SOURCE: ["also.db", "shop.db", "shop.db-wal"],
        Why.DATABASE: ["cache.db"],
        Why.OWN: ["state"],
    }
    assert not {m.path for m in archive.members} & {"also.db", "shop.db", "shop.db-wal", "state"}


def test_an_archive_inside_what_it_holds_does_not_hold_itself(site: Path) -> None:
    archive = make_archive([site], site / "backups" / "r.files.tar.gz", leave_out=LeaveOut(), now_ms=1)
    assert why(archive) == {Why.OWN: ["backups"]}


def test_the_folder_of_the_backups_cant_be_saved_into_itself(site: Path) -> None:
    with pytest.raises(Refused) as caught:
        make_archive([site], site / "r.files.tar.gz", leave_out=LeaveOut(), now_ms=1)
    assert caught.value.code == "archive_place_own"
    assert not (site / "r.files.tar.gz.partial").exists()


def test_places_named_twice_or_by_a_link(site: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("site")
    archive = made(tmp_path, tmp_path / "current", site / "sub", site / "a.txt")
    assert [(r.path, r.named) for r in archive.roots] == [(str(site), str(tmp_path / "current"))]
    with pytest.raises(Refused, match="is not there"):
        made(tmp_path, tmp_path / "gone")
    assert read_archive(archive.file) is not None  # the one that is there was not touched


def test_what_cant_be_read_is_named(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open, real_list = os.open, os.listdir

    def forbidden(path: Any, *more: Any, **options: Any) -> Any:  # as for an ordinary user: root may read everything
        if str(path).endswith(("a.txt", "sub")):
            raise PermissionError(13, "Permission denied", str(path))
        return real_list(path) if not more else real_open(path, *more, **options)

    monkeypatch.setattr(os, "open", forbidden)
    monkeypatch.setattr(os, "listdir", forbidden)
    archive = made(tmp_path, site)
    assert why(archive) == {Why.UNREADABLE: ["a.txt", "sub"]}
    assert not archive.complete
    assert [m.path for m in archive.members] == ["", "empty", "sub"]
    assert {f.code: f.severity for f in findings_of(archive)} == {"archive_unreadable": Severity.WARNING}
    assert summary(archive).startswith("2 could not be read")


def during(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[int], None]) -> None:
    """Do something each time the file of that name has been read, before it is looked at whether it stood still."""
    real, passes = making._read, 0

    def read(path: Path, spool: object, look: Callable[[int], None]) -> object:
        nonlocal passes

        def looked(count: int) -> None:
            look(count)
            if path.name == name:
                nonlocal passes
                passes += 1
                act(passes)

        return real(path, spool, looked)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "_read", read)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(passes: int) -> None:
        if passes == 1:
            (site / "a.txt").write_text("zwei und mehr")

    during(monkeypatch, "a.txt", once)
    archive = made(tmp_path, site)
    assert archive.notes == ()
    assert changed_since(archive) == ()
    assert next(m for m in archive.members if m.path == "a.txt").size == 13


def test_one_that_never_stands_still_is_named(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grow(_: int) -> None:
        with (site / "a.txt").open("a") as file:
            file.write("mehr")

    during(monkeypatch, "a.txt", grow)
    archive = made(tmp_path, site)
    assert why(archive) == {Why.CHANGED: ["a.txt"]}
    assert check_archive(archive).verified  # what was read is held, whole
    assert changed_since(archive) == ()  # named once


def test_files_that_vanish_are_named_and_the_rest_is_there(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    during(monkeypatch, "a.txt", lambda _: (site / "empty").unlink(missing_ok=True))
    archive = made(tmp_path, site)
    assert why(archive) == {Why.VANISHED: ["empty"]}
    (site / "sub" / "b.bin").unlink()
    (site / "a.txt").write_text("anders, nachher")
    assert {n.why for n in changed_since(archive)} == {Why.VANISHED, Why.CHANGED}


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def rewritten(archive: Archive, site: Path) -> None:
    """Another archive of the same names, whole in itself."""
    (site / "a.txt").write_text("drei")
    keep = manifest_of(archive.file).read_bytes()
    make_archive([site], archive.file, leave_out=LeaveOut(), now_ms=8)
    manifest_of(archive.file).write_bytes(keep)


def shortened(archive: Archive, _: Path) -> None:
    archive.file.write_bytes(archive.file.read_bytes()[:-5000])


def without_a_member(archive: Archive, site: Path) -> None:
    plain = gzip.decompress(archive.file.read_bytes())
    assert plain
    (site / "empty").unlink()
    rewritten(archive, site)


@pytest.mark.parametrize("damage", [lambda a, _: flip(a.file), rewritten, shortened, without_a_member])
def test_damage_is_found(damage: Callable[[Archive, Path], None], site: Path, tmp_path: Path) -> None:
    archive = made(tmp_path, site)
    damage(archive, site)
    check = check_archive(archive)
    assert not check.verified
    assert check.problems
    # even one that was given the right hash does not pass: its members are looked at
    assert not check_archive(replace(archive, sha256=check.sha256)).verified


def test_a_copy_is_proven_too(site: Path, tmp_path: Path) -> None:
    archive = made(tmp_path, site)
    copy = copy_archive(archive, tmp_path / "further")
    found = read_archive(copy)
    assert found is not None
    assert check_archive(found).verified
    flip(copy)
    assert copy_archive(archive, tmp_path / "further") == copy  # a damaged copy is made anew
    assert check_archive(found).verified


def test_no_room_leaves_nothing_behind(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making, "_put", full)
    with pytest.raises(DiskFull):
        made(tmp_path, site)
    assert list((tmp_path / "b").iterdir()) == []


async def test_it_is_proven_before_it_counts(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Wanted(places=(site,), dest=tmp_path / "b" / "r.files.tar.gz", leave_out=LeaveOut(), deadline=60)
    assert (await archive_files(wanted, now_ms=1, control=FreeRunning(), report=silent)).files == 3
    real = making._put

    def wrong(work: object, member: object, kind: bytes, data: object = None) -> None:
        real(work, replace(member, mode=0) if kind != tarfile.REGTYPE else member, kind, data)  # type: ignore[arg-type,type-var]
        work.members[-1] = replace(work.members[-1], sha256="0" * 64)  # type: ignore[attr-defined]

    monkeypatch.setattr(making, "_put", wrong)
    with pytest.raises(StepFailed) as caught:
        await archive_files(wanted, now_ms=1, control=FreeRunning(), report=silent)
    assert caught.value.code == "archive_unsound"
    assert list((tmp_path / "b").iterdir()) == []
    with pytest.raises(StepFailed) as late:
        await archive_files(replace(wanted, deadline=0.0), now_ms=1, control=FreeRunning(), report=silent)
    assert late.value.code == "archive_deadline"


def with_files(stand: Stand) -> Path:
    uploads = stand.folder / "uploads"
    (uploads / "2026").mkdir(parents=True)
    (uploads / "2026" / "a.jpg").write_bytes(os.urandom(5000))
    (uploads / "shop.db").symlink_to("../shop.db")
    return uploads


def test_a_run_archives_beside_its_backup_and_ticks_its_items(tmp_path: Path, pg_dsn: str) -> None:
    with standing(tmp_path, pg_dsn) as stand:
        with sqlite3.connect(stand.source) as db:
            db.execute("create table t(id integer primary key, x text)")
            db.execute("insert into t values(1,'a')")
        with_files(stand)
        stand.config(application={"backup": ["./uploads"]})
        ran = stand.run("--until", "backfill")
        assert ran.code == 0, ran.out + ran.err
        steps = [n for (n,) in stand.journal("select name from step where phase='prepare' order by ord")]
        assert steps[:3] == ["preflight", "backup", "service-backup"]
        [(evidence,)] = stand.journal("select evidence from step where name='service-backup'")
        archive = read_archive(Path(json.loads(evidence)["path"]))
        assert archive is not None
        assert check_archive(archive).verified
        assert {Path(r.path).name for r in archive.roots} == {"uploads", "stepflow.yaml"}
        items = {i["id"]: i for i in stand.status()["checklist"]}
        assert {items[n]["state"] for n in ("backup-config", "backup-storage")} == {"ticked"}
        assert archive.sha256 in items["backup-storage"]["note"]
        [(path,)] = stand.journal("select path from backup")
        assert archive.file == archive_of(Path(path))


async def test_an_archive_goes_with_its_backup(site: Path, tmp_path: Path) -> None:
    source = make_db(tmp_path / "s.db")
    folder = tmp_path / "kept"
    newest = None
    for number in range(3):
        newest = await make_backup(
            await examine(source), folder, name=f"r{number}.db", control=FreeRunning(), report=silent, deadline_s=60,
            now_ms=number,
        )  # fmt: skip
        make_archive([site], archive_of(newest.file), leave_out=LeaveOut(), now_ms=number)
    assert newest is not None
    _prune(tmp_path / "state", folder, newest, 2)
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        f"r{n}{e}" for n in (1, 2) for e in (".db", ".db.json", ".files.tar.gz", ".files.tar.gz.json")
    )


@pytest.mark.parametrize(
    ("mode", "waits", "code"),
    [("live", "5s", "busy_timeout_short"), ("live", "6s", "busy_timeout_known"), ("copy", "1s", "busy_timeout_known")],
)
async def test_the_applications_busy_timeout_is_compared_with_the_freeze(
    mode: str, waits: str, code: str, tmp_path: Path
) -> None:
    make_db(tmp_path / "shop.db")
    config = write_config(tmp_path, mode=mode, source=f"{{path: shop.db, busy_timeout: {waits}}}")
    async with check_context(load_config(config, {}).config, state_dir=tmp_path / "state") as ctx:
        (finding,) = await source_busy_timeout.run(ctx)
    assert finding.code == code
    assert "6000" in render(finding).fix or code == "busy_timeout_known"
