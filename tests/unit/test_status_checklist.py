"""What the status says about the checklist, the danger of steps, and objects that are left out."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.checklist import ItemKind, ItemSpec
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.testing import FakeStep
from tests.run_kit import bench, book

ITEMS = (
    ItemSpec(id="teams-told", kind=ItemKind.MANUAL, before="backfill", params={"when": "before"}),
    ItemSpec(id="own", kind=ItemKind.MANUAL, params={"when": "after", "title": "Buy a cake"}),
    ItemSpec(id="disk-space", kind=ItemKind.AUTO, before="backfill", params={"when": "before"}),
)


async def test_the_status_tells_items_danger_and_what_is_left_out(tmp_path: Path) -> None:
    steps = (FakeStep(name="a"), FakeStep(name="b", danger=Danger.TYPED))
    async with bench(tmp_path, book(("prepare", steps), items=ITEMS)) as b:
        await b.runner.run()
        await b.journal.tick_item("teams-told", by="anna", note="by mail")
        await b.journal.executemany(
            "INSERT INTO object(id,ord,type,name,tbl,carried,reason,sql) VALUES(?,?,?,?,?,?,?,?)",
            [(str(n), n, "view", f"v{n}", None, carried, "", "") for n, carried in enumerate((0, 1, 0))],
        )
        with RunReader(b.ctx.run_dir) as reader:
            status = reader.status()
    told, own, disk = status["checklist"]
    assert told["at"].endswith("Z")
    assert told | {"at": None} == {
        "id": "teams-told",
        "title": "Teams concerned told",
        "phase": "before",
        "before": "backfill",
        "kind": "manual",
        "state": "ticked",
        "by": "anna",
        "at": None,
        "note": "by mail",
    }
    assert (own["title"], own["phase"], own["before"], own["state"], own["at"]) == (
        "Buy a cake",
        "after",
        "",
        "open",
        None,
    )
    assert (disk["kind"], disk["title"]) == ("auto", "Room for backup, target, log and WAL")
    assert [s["danger"] for s in status["phases"][0]["steps"]] == ["none", "typed"]
    assert status["objects_left_out"] == 2


def test_a_run_that_has_hardly_begun_has_an_empty_checklist(tmp_path: Path) -> None:
    from stepflow_tui.engine.journal.writer import create_private

    run_dir = tmp_path / "shop-20260101T000000-0000"
    run_dir.mkdir()
    create_private(run_dir / "journal.db")
    with RunReader(run_dir) as reader:
        status = reader.status()
    assert (status["checklist"], status["objects_left_out"]) == ([], 0)
