"""The plain menus over a fixed journal and a facade in memory: what is asked, shown and sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stepflow_tui.cli.plain import ask, gate, menu, runs, setup, steer, tables
from stepflow_tui.cli.plain import target as targets
from stepflow_tui.cli.plain.desk import Desk, Next, Place
from stepflow_tui.cli.plain.run_menu import RUN_MENU, open_run_menu
from stepflow_tui.cli.session import Globals, Session
from stepflow_tui.engine import api
from stepflow_tui.engine.errors import Held, TargetConnectionError, UsageError
from tests.golden.fixed import HOSTILE, RUN, make

Said = Callable[..., list[str]]


class Person:
    """Types line after line; then the input ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self.lines:
            raise ask.EndOfInput
        return self.lines.pop(0)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    found = Person()
    monkeypatch.setattr("stepflow_tui.cli.plain.ask.read", found)
    return found


class Engine:
    """The real facade, but for what acts."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any], bool]] = []
        self.held: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(api, name)

    async def send(
        self, run: Any, verb: str, args: Mapping[str, Any], *, take_control: bool = False, **more: Any
    ) -> Any:
        if verb in self.held and not take_control:
            raise Held("ben steers this run.", hint="Wait.", code="control_held")
        self.sent.append((verb, dict(args), take_control))
        return {"state": "done", "answer": {}, "after": 0}

    async def reveal(self, *what: Any, **more: Any) -> Any:
        return {"source": "real", "target": None, "problem": ""}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def desk(tmp_path: Path, engine: Engine) -> Desk:
    session = Session(globals=Globals(state_dir=tmp_path / "state", plain=True))
    return Desk(session=session, engine=engine, folder=tmp_path, env={})  # type: ignore[arg-type]


@pytest.fixture
def place(desk: Desk) -> Iterator[Place]:
    asyncio.run(make(desk.state))
    info = api.resolve_run(desk.state, "shop")
    with api.RunReader(info.path) as reader:
        yield Place(desk=desk, info=info, reader=reader)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def read() -> list[str]:
        both = capsys.readouterr()
        return (both.out + both.err).splitlines()

    return read


def choose(person: Person, *lines: object) -> None:
    person.lines += [str(line) for line in lines]


def number(label: str) -> int:
    return next(n for n, entry in enumerate(RUN_MENU, 1) if entry.label.startswith(label))


@pytest.mark.parametrize("entry", RUN_MENU, ids=lambda entry: entry.label)
def test_every_entry_stands_up_to_the_end_of_input(place: Place, person: Person, entry: Any) -> None:
    """Each either does its work without a question, or asks and lets the end of input through."""
    try:
        step = entry.do(place)
    except ask.EndOfInput:
        assert person.prompts
    else:
        assert step in Next


def test_the_menu_says_how_the_run_stands_and_leaves_by_enter_once_it_has_ended(
    place: Place, person: Person, said: Said
) -> None:
    place.ended = 5
    choose(person, "")
    assert open_run_menu(place) is Next.LEAVE
    assert f"{RUN}: incomplete. What next?" in said()
    assert person.prompts == ["Number (Enter: 12):"]


def test_differing_rows_with_keys_and_both_values_and_nothing_interpreted(
    place: Place, person: Person, said: Said
) -> None:
    choose(person, 2, 1, "", "")
    assert tables.tables(place) is Next.MENU
    told = said()
    assert "1. key id=2, column t: changed" in told
    assert "   source: a[31mb" in told
    assert "   target: ab" in told
    assert any(line.startswith("1. key id=7, column t: rejected") for line in told)
    assert not any("\x1b" in line or "\u202e" in line for line in told)


def test_tables_by_a_word(place: Place, person: Person, said: Said) -> None:
    choose(person, 3, "CUST", "")
    assert tables.tables(place) is Next.MENU
    told = "\n".join(said())
    assert "customer: 3 rows in the source, 3 in the target, equal" in told
    assert "2  none: go back" in told


def test_a_hidden_value_is_shown_to_who_types_the_name(place: Place, person: Person, said: Said) -> None:
    row = tables.different(
        {"tbl": HOSTILE, "key": {"id": 2}, "col": "t", "class": "changed", "source": "#fp:0123456789", "target": "x",
         "cause": "", "repair_sql": ""}
    )  # fmt: skip
    choose(person, "wrong")
    tables._reveal(place, row)
    assert not any("real" in line for line in said())
    choose(person, "shop")
    tables._reveal(place, row)
    assert {"source: real", "target: (no row)"} <= set(said())


@pytest.mark.parametrize(
    ("entry", "lines", "sent"),
    [
        (steer.alerts, (1, "seen"), ("ack", {"code": "throttled", "note": "seen"})),
        (steer.checklist, (1, "called them"), ("tick", {"item": "teams-told", "note": "called them"})),
        (steer.note, ("a note",), ("note", {"text": "a note"})),
        (steer.note, ("", "a note"), ("note", {"text": "a note"})),
        (steer.control, (2,), ("hold", {})),
        (
            steer.roll_back,
            (1, "it was a rehearsal", "shop"),
            ("rollback", {"to": None, "reason": "it was a rehearsal", "yes": True, "confirm": "shop"}),
        ),
    ],
)
def test_entries_that_act_send_one_intent(
    place: Place, person: Person, engine: Engine, entry: Any, lines: tuple[object, ...], sent: tuple[str, Any]
) -> None:
    choose(person, *lines)
    assert entry(place) in (Next.MENU, Next.WATCH)
    assert [(verb, args) for verb, args, _take in engine.sent] == [sent]


@pytest.mark.parametrize(
    ("entry", "lines", "sent"),
    [
        (steer.pause_or_resume, (), [("pause", {})]),
        (steer.abort, ("shop",), [("abort", {"yes": True, "confirm": "shop"})]),
        (steer.abort, ("SHOP",), []),
    ],
)
def test_a_run_under_way_is_paused_or_ended(
    place: Place,
    person: Person,
    engine: Engine,
    entry: Any,
    lines: tuple[object, ...],
    sent: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Place, "status", {**place.status, "state": "running"})
    choose(person, *lines)
    assert entry(place) in (Next.MENU, Next.WATCH)
    assert [(verb, args) for verb, args, _take in engine.sent] == sent


@pytest.mark.parametrize(("entry", "what"), [(steer.pause_or_resume, "pause"), (steer.abort, "abort")])
def test_a_run_that_has_ended_is_not_asked_about(
    place: Place, engine: Engine, said: Said, entry: Any, what: str
) -> None:
    assert entry(place) is Next.MENU
    assert said() == [f"There is nothing to {what}: the run is incomplete."]
    assert engine.sent == []


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        (steer.alerts, (2,)),
        (steer.alerts, (1, "", "")),
        (steer.checklist, (4,)),
        (steer.checklist, (2,)),
        (steer.note, ("", "")),
        (steer.control, (1,)),
        (steer.abort, ("SHOP",)),
        (steer.roll_back, ("",)),
        (steer.roll_back, (1, "", "")),
        (steer.roll_back, (1, "it was a rehearsal", "shopp")),
        (gate.answer_open_gate, ()),
    ],
)
def test_taking_it_back_sends_nothing(
    place: Place, person: Person, engine: Engine, entry: Any, lines: tuple[object, ...]
) -> None:
    choose(person, *lines)
    assert entry(place) is Next.MENU
    assert engine.sent == []


def test_control_that_somebody_else_has_can_be_taken(place: Place, person: Person, engine: Engine, said: Said) -> None:
    engine.held = {"note"}
    choose(person, "a note", 1)
    steer.note(place)
    assert engine.sent == []
    assert "ben steers this run." in said()
    choose(person, "a note", 2)
    steer.note(place)
    assert engine.sent == [("note", {"text": "a note"}, True)]


GATE = {"phase": "backfill", "state": "open", "questions": [
    {"kind": "warning", "id": "w", "params": {"code": "fk_violations", "object": "sale"}},
    {"kind": "item", "id": "vpn", "params": {"title": "VPN is up"}},
    {"kind": "typed", "id": "t", "params": {"step": "copy", "loses": "new rows"}},
]}  # fmt: skip


def test_a_gate_is_passed_by_numbers_and_the_typed_name(place: Place, person: Person, engine: Engine) -> None:
    choose(person, 3, "it is", 2, 2, "shop")
    assert gate.answer(place, GATE) is Next.WATCH
    assert engine.sent == [
        ("tick", {"item": "vpn", "note": "it is"}, False),
        ("continue", {"phase": "backfill", "yes": True, "confirm": "shop"}, False),
    ]


@pytest.mark.parametrize("lines", [(1,), (2, 1, 1), (2, 2, "nope", 1), (3, "", 1)])
def test_a_gate_that_is_not_answered_stays_open(
    place: Place, person: Person, engine: Engine, lines: tuple[object, ...]
) -> None:
    choose(person, *lines)
    assert gate.answer(place, GATE) is Next.MENU
    assert engine.sent == []


def test_files_are_written_beside_others_never_over_them(place: Place, person: Person, said: Said) -> None:
    for _ in range(2):
        choose(person, 5)
        RUN_MENU[number("everything") - 1].do(place)
    assert sorted(p.name for p in place.desk.folder.glob("*.txt")) == [f"{RUN}-journal-2.txt", f"{RUN}-journal.txt"]
    assert "2026-01-01T00:00:00.000Z  started" in (place.desk.folder / f"{RUN}-journal.txt").read_text()


def test_a_password_stays_in_memory(
    desk: Desk, person: Person, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, str]] = []

    async def try_target(target: str, *, schema: str, env: Mapping[str, str], **more: Any) -> Any:
        tried.append((target, env["DATABASE_URL"]))
        return {"kind": "address", "ok": True, "version": "18", "findings": (), "latency_ms": 1.0, "address": "h",
                "encrypted": True, "schema": schema, "schema_exists": True, "tables": 0}  # fmt: skip

    monkeypatch.setattr(engine, "try_target", try_target, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "pa/ss")
    choose(person, 2, "shop", "postgresql://anna@db:5432/shop")
    chosen = targets.choose_target(desk)
    assert (chosen.target, chosen.schema, chosen.variable) == ("${DATABASE_URL}", "shop", "DATABASE_URL")
    assert tried == [("${DATABASE_URL}", "postgresql://anna:pa%2Fss@db:5432/shop")]
    assert "pa/ss" not in repr(desk)
    assert "pa%2Fss" not in repr(desk)


def test_a_target_that_does_not_answer_can_be_changed(
    desk: Desk, person: Person, engine: Engine, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    async def try_target(target: str, **more: Any) -> Any:
        if target == "environment":
            raise TargetConnectionError("Nobody answers.", hint="Start it.", code="target_down")
        return {"kind": "embedded", "ok": True, "version": "18", "running": False, "findings": ()}

    monkeypatch.setattr(engine, "try_target", try_target, raising=False)
    choose(person, 3, "", 1, 2, 1)
    assert targets.choose_target(desk).target == "embedded"
    assert sum("Nobody answers." in line for line in said()) == 2


def test_which_migration_from_answers_alone(desk: Desk, person: Person, said: Said) -> None:
    choose(person, "", "many", 12, "perhaps", "yes", "", "", 2)
    assert setup.which(desk) is Next.HOME
    told = said()
    assert "Recommended: sqlite-to-postgres." in told
    assert sum("is no number" in line or "neither yes nor no" in line for line in told) == 2


def test_options_are_checked_one_by_one(desk: Desk, person: Person, said: Said, tmp_path: Path) -> None:
    from stepflow_tui.engine.model.draft import Draft

    choose(person, 2, "no name!", "shop-2", 5, 4, 6, "", 8, 2, 1)
    draft = setup._options(desk, Draft(source="x.db", name="shop"))
    assert (draft.name, draft.level, draft.on_bad_value) == ("shop-2", "comprehensive", "reject")
    assert draft.mode == "live"
    assert any("can't be a name" in line for line in said())


def test_an_application_is_asked_about_by_numbers_and_tried_without_changing_anything(
    desk: Desk, person: Person, said: Said
) -> None:
    from stepflow_tui.cli.plain.application import ask_application
    from stepflow_tui.engine.model.draft import Draft

    env = desk.folder / ".env"
    env.write_text("DATABASE_URL=sqlite:///shop.db\n")
    draft = Draft(source=str(desk.folder / "x.db"), target="embedded", name="shop")
    choose(
        person, 2, 9, "./serve.sh", str(desk.folder / "shop.pid"), str(env), "no setting", "DATABASE_URL={target_dsn}"
    )
    choose(person, "", "127.0.0.1", "http://127.0.0.1:9/", "", 2, 1)
    told = ask_application(desk, draft).application
    assert (told.recipe, told.fields["command"], told.health) == ("command", "./serve.sh", "http://127.0.0.1:9/")
    assert told.settings == (("DATABASE_URL", "{target_dsn}"),)
    assert env.read_text() == "DATABASE_URL=sqlite:///shop.db\n"
    assert not (desk.folder / "stepflow.yaml").exists()
    lines = said()
    assert any("1 - DATABASE_URL = sqlite:///shop.db" in line for line in lines)
    assert any("Write KEY = value." in line for line in lines)
    assert any("http:// or https://" in line for line in lines)


def test_an_application_may_be_left_to_a_person(desk: Desk, person: Person) -> None:
    from stepflow_tui.cli.plain.application import ask_application
    from stepflow_tui.engine.model.draft import Draft

    draft = Draft(source="x.db", target="embedded", name="shop")
    choose(person, 1)
    assert ask_application(desk, draft) is draft
    choose(person, 2, 1, "", "", "", 1, 3)
    assert ask_application(desk, draft) is draft


def test_the_application_of_a_run_and_its_switch_are_shown(place: Place, person: Person, said: Said) -> None:
    entry = RUN_MENU[number("the application") - 1]
    assert entry.do(place) is Next.MENU
    assert said()


def test_a_config_is_never_written_over_another(desk: Desk, person: Person) -> None:
    from stepflow_tui.engine.model.draft import Draft

    (desk.folder / "stepflow.yaml").write_text("mine")
    (desk.folder / "other.yaml").write_text("mine, too")
    choose(person, 2, "other.yaml", "notes.txt", "new.yaml")
    assert setup._save(desk, Draft(source="x.db", name="shop")) == desk.folder / "new.yaml"
    choose(person, 1)
    assert setup._save(desk, Draft(source="x.db", name="shop")) == desk.folder / "stepflow-2.yaml"
    assert (desk.folder / "stepflow.yaml").read_text() == "mine"
    assert (desk.folder / "other.yaml").read_text() == "mine, too"


def test_a_source_that_is_none_is_asked_for_again(desk: Desk, person: Person, said: Said, tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "text.db").write_text("no database")
    with sqlite3.connect(tmp_path / "a.sqlite") as db:
        db.execute("create table t(x)")
    db.close()
    choose(person, 2, str(tmp_path / "nowhere.db"), 2, str(tmp_path / "text.db"), 2, str(tmp_path / "a.sqlite"), 1)
    assert setup._source(desk, "") == str(tmp_path / "a.sqlite")
    told = said()
    assert "  1  a.sqlite" in told
    assert sum(line.startswith("error:") for line in told) == 2


def test_a_lost_engine_can_be_started_again(
    place: Place, person: Person, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    async def start(loaded: Any, **how: Any) -> Any:
        started.append(loaded)
        return SimpleNamespace(run=place.info, after=0)

    monkeypatch.setattr(engine, "load_config", lambda path, *rest: str(path), raising=False)
    monkeypatch.setattr(engine, "start", start, raising=False)
    assert steer.start_again(place) is Next.WATCH
    assert started == ["/srv/shop/stepflow.yaml"]


def test_the_first_menu_lists_runs_configs_and_beginnings(desk: Desk, place: Place, person: Person, said: Said) -> None:
    (desk.folder / "stepflow.yaml").write_text("version: 1\nkind: x\n")
    (desk.folder / "compose.yaml").write_text("services: {}\n")
    choose(person, 7)
    assert menu._main_menu(desk) is Next.LEAVE
    told = said()
    assert f"  1  run {RUN}: incomplete, Complete, staging" in told
    assert "  2  config stepflow.yaml" in told
    assert not any("compose" in line for line in told)
    assert person.prompts == ["Number (Enter: 2):"], "Enter does not lead back to a finished run"


def test_the_demo_tidies_up_only_after_a_run_that_has_ended(
    desk: Desk, person: Person, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Path] = []
    asyncio.run(make(desk.state))

    async def make_demo(state: Path, kind: str, rows: int) -> Path:
        return state / "demo" / RUN / "stepflow.yaml"

    async def end_demo(state: Path, config: Path) -> None:
        ended.append(config)

    monkeypatch.setattr(engine, "make_demo", make_demo, raising=False)
    monkeypatch.setattr(engine, "end_demo", end_demo, raising=False)
    monkeypatch.setattr("stepflow_tui.cli.plain.runs.begin", lambda desk, config: Next.LEAVE)
    assert runs.demo(desk) is Next.LEAVE
    assert [path.parent.name for path in ended] == [RUN]


def test_unknown_runs_and_bad_configs_are_told_and_the_menu_comes_back(desk: Desk, person: Person, said: Said) -> None:
    (desk.folder / "bad.yaml").write_text("version: 1\nkind: sqlite-to-postgres\nnmae: x\nkeymap: {pausee: k}\n")
    assert runs.begin(desk, desk.folder / "bad.yaml") is Next.MENU
    assert runs.attach(desk, "nobody") is Next.HOME
    told = said()
    assert any("did you mean name?" in line for line in told)
    assert any("No run 'nobody'" in line for line in told)


def test_an_error_of_the_engine_never_ends_the_session(
    place: Place, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*args: Any, **more: Any) -> Any:
        raise UsageError("No.", hint="Never.", code="no")

    monkeypatch.setattr(engine, "send", refuse)
    assert place.send("note", {"text": "x"}) is None
